// What a capsule says, decoded. Plain values: whoever holds a `Capsule` may have made it himself;
// only a `VerifiedCapsule` (open.h) has been signed by anyone. Field rules:
// docs/formats/capsule.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "capsules/value.h"
#include "runtime/base/ids.h"

namespace taper::capsules {

// One predicate over one argument. All are total: a value of a type the predicate does not speak
// about fails it.
struct AnyValue {};
struct Equals {
  Value value;
};
struct OneOf {
  std::vector<Value> values;
};  // never empty
struct AtLeast {
  std::int64_t least = 0;
};  // exact integers only
struct AtMost {
  std::int64_t most = 0;
};
struct Length {
  std::int64_t least = 0;
  std::int64_t most = 0;
};  // UTF-8 bytes of a string
struct Prefix {
  std::string text;
};
struct Under {
  std::string tree;
};  // absolute path in plain form; the tree and all below
struct Glob {
  std::string pattern;
};  // '*' any run without '/', '?' one such byte, rest literal
struct NotOneOf {
  std::vector<Value> values;
};  // never empty
struct Suffix {
  std::string text;
};
struct Url {
  std::vector<std::string> schemes;  // lower case; never empty
  std::vector<std::string> hosts;    // exact names or addresses, lower case; never empty
  std::vector<std::uint16_t> ports;  // empty: the scheme's own
  std::string under;                 // "/" for every path
};
struct Cidr {
  std::vector<std::string> blocks;  // "10.0.0.0/8", "fd00::/8"; never empty
};
struct Count {
  std::int64_t least = 0;
  std::int64_t most = 0;
};  // items of an array
struct TimeOfDay {
  std::int32_t from_s = 0, to_s = 0;  // seconds of the day, from included, to excluded; from > to
                                      // passes midnight
  std::int32_t offset_s = 0;          // east of UTC
};  // of the moment, whatever the value; denies where the time is not anchored

struct Constraint;
struct ArgRule {
  std::string name;
  bool optional = false;
  std::vector<Constraint> all;  // every one must hold; never empty
};
struct Argv {
  std::vector<Constraint> words;
};  // an array of exactly these strings, one constraint each; never empty
struct Each {
  std::vector<Constraint> all;
};  // every item of an array; never empty
struct Fields {
  std::vector<ArgRule> rules;
};  // an object, closed like a grant's arguments
struct AllOf {
  std::vector<Constraint> all;
};  // never empty
struct AnyOf {
  std::vector<Constraint> any;
};  // never empty
using ConstraintKinds =
    std::variant<AnyValue, Equals, OneOf, NotOneOf, AtLeast, AtMost, Length, Prefix, Suffix, Glob,
                 Under, Url, Cidr, Argv, Each, Count, Fields, AllOf, AnyOf, TimeOfDay>;
struct Constraint : ConstraintKinds {
  using ConstraintKinds::ConstraintKinds;
};

enum class Effect : std::uint8_t { unset, read, write, irreversible };
enum class Verb : std::uint8_t {
  unset,
  discover,
  call,
  poll,
  result,
  update,
  cancel,
  retry,
  resume
};

enum class DigestKind : std::uint8_t {
  unset,
  builtin,   // pinned by the builtin's version
  pinned,    // `digest` must equal the node's tool digest
  unpinned,  // written in the capsule in so many words
};

// A token bucket on the boot clock: holds `count`, refilled with `count` in each `per_ms`.
struct Rate {
  std::int64_t count = 0;
  std::int64_t per_ms = 0;
};
// The sum of one argument over all calls; it must be present and in 0..2^63-1.
struct Sum {
  std::string argument;
  std::int64_t most = 0;
};
struct Budget {
  std::optional<std::int64_t> calls = {};
  std::optional<Rate> rate = {};
  std::optional<std::int64_t> bytes = {};   // result bytes
  std::optional<std::int64_t> cpu_ms = {};  // of the tool's processes
  std::optional<Sum> sum = {};
};

// Caps of one cell; absent means limits.h. A grant may only lower them.
struct CellLimits {
  std::optional<std::int64_t> output_bytes;
  std::optional<std::int64_t> memory_bytes;
  std::optional<std::int64_t> processes;
  std::optional<std::int64_t> cpu_s;
  std::optional<std::int64_t> wall_ms;
};

struct Grant {
  std::string id;
  std::string tool;
  DigestKind digest_kind = DigestKind::unset;
  Hash digest;                // where pinned
  std::vector<Verb> verbs;    // never empty
  std::vector<ArgRule> args;  // closed: an argument not named is refused
  Budget budget;
  Effect effect = Effect::unset;
  std::vector<std::string> labels;        // the task bears them once the call is allowed
  std::vector<std::string> refuse_after;  // labels that shut this grant
  std::vector<std::string> after;         // grants of which a call must be done; no cycles
  std::vector<std::string> secrets;       // names of the capsule's secrets that its calls get
  std::string idempotency;                // the argument that carries the call's id; empty: none
  CellLimits cell;
};

enum class TimeAssurance : std::uint8_t { unset, behind, bounded, anchored };
enum class Tier : std::uint8_t { unset, t1, t2, t3 };

struct EndOn {
  bool completion = true;
  bool failure = false;
  std::int64_t denials = 3;  // at least 1
  bool violation = true;
  bool tool_drift = true;
  bool policy_drift = true;
  bool clock_step = true;
};

enum class OnError : std::uint8_t { unset, stop, carry_on, retry };

struct Step {
  std::string id;
  std::string tool;
  std::string args;  // canonical JSON object; {"$input":n} and {"$step":id,"at":p} stand for one
                     // whole value
  std::vector<std::string> needs;  // ids of earlier steps
  OnError on_error = OnError::stop;
  std::uint32_t retries = 0;    // where on_error is retry: at most so many more calls
  std::int64_t backoff_ms = 0;  // before each of them
  // Canonical JSON, an array or a reference to one: a call for each item, which the arguments name
  // as {"$item":true}. Empty: one call.
  std::string for_each = {};
  std::uint32_t for_each_max = 0;  // more items fail the step
};

struct Plan {
  std::vector<std::string> inputs;  // names, given at activation
  std::vector<Step> steps;          // in an order where every need comes first
};

enum class EntryKind : std::uint8_t { unset, session, plan, agent };

// A program of the node that is the agent: a declaration of kind agent, as it was pinned.
struct AgentEntry {
  std::string program;  // its name on the node
  Hash digest;
  CellLimits cell;  // where the capsule's own names no smaller value
};

struct Audience {
  PublicKey node;
  Incarnation incarnation;
};

// A secret sealed to the node's X25519 key. What lies in the box: docs/formats/capsule.md.
struct SealedSecret {
  std::string name;
  Bytes box;
};

// Who may read the task's results after its end, for how long and how often. None: nobody, erased
// at the end.
struct ResultRule {
  std::vector<Hash> readers;  // key ids; never empty
  std::int64_t retention_ms = 0;
  std::uint32_t reads = 0;  // of each result, by all readers together
};

// Stricter caps of the lease, which hold while no signed time anchors the node's.
struct OfflineCaps {
  std::int64_t max_ttl_ms = 0, max_idle_ms = 0;  // at most the lease's
};

// In `features` of a capsule with a long lease.
inline constexpr std::string_view kLongLeaseFeature = "long-lease";
// In `features` of a capsule whose entry is agent.
inline constexpr std::string_view kAgentFeature = "agent";
// In `features` of a capsule with caps while unanchored.
inline constexpr std::string_view kOfflineFeature = "offline";
// In `features` of a block that takes verbs away.
inline constexpr std::string_view kBlockVerbsFeature = "block-verbs";

struct Capsule {
  Hash issuer;  // KeyId bytes of the issuer; must be among the signers
  std::uint64_t serial = 0;
  std::int64_t issued_at_s = 0;
  Hash fleet;
  std::string tenant, purpose, requester, agent;
  PublicKey holder;
  Audience audience;
  std::int64_t not_before_s = 0, not_after_s = 0;
  std::uint32_t activations = 0;
  std::int64_t lease_ttl_ms = 0, lease_idle_ms = 0;
  bool long_lease = false;  // exactly when the ttl is above limits::kLongLeaseMs
  std::int64_t max_revocation_age_s = 0;
  TimeAssurance time_assurance = TimeAssurance::unset;
  EndOn end_on;
  std::vector<Grant> grants;
  Tier min_tier = Tier::unset;
  EntryKind entry = EntryKind::unset;
  Plan plan;                   // where entry is plan
  AgentEntry agent_entry;      // where entry is agent
  std::uint8_t max_depth = 0;  // of delegation
  std::int64_t log_quota_bytes = 0;
  bool log_all_arguments = false;       // else digests only
  std::vector<std::string> log_except;  // arguments of which only digests are logged even then
  CellLimits cell;                      // where a grant names no smaller value
  std::vector<SealedSecret> secrets;
  std::optional<ResultRule> result;
  std::optional<OfflineCaps> offline;
};

// One narrowing block of a chain.
struct KeptGrant {
  std::string id;
  std::string parent;         // id of a grant of the block directly before
  std::vector<ArgRule> args;  // further constraints
  Budget budget;              // smaller
  std::vector<std::string> labels = {}, refuse_after = {};  // more
  std::vector<Verb> verbs = {};                             // no others; empty: the parent's
};

struct Block {
  Hash previous;     // hash of all before it
  PublicKey holder;  // the next holder
  std::vector<KeptGrant> grants;
  std::optional<std::int64_t> lease_ttl_ms, lease_idle_ms, not_before_s, not_after_s;
};

}  // namespace taper::capsules
