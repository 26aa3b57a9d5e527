// What a capsule says, decoded. Plain values: whoever holds a `Capsule` may have made it himself;
// only a `VerifiedCapsule` (open.h) has been signed by anyone. Field rules:
// docs/formats/capsule.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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
using Constraint =
    std::variant<AnyValue, Equals, OneOf, AtLeast, AtMost, Length, Prefix, Under, Glob>;

struct ArgRule {
  std::string name;
  bool optional = false;
  std::vector<Constraint> all;  // every one must hold; never empty
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

struct Budget {
  std::optional<std::int64_t> calls;
  std::optional<std::int64_t> bytes;  // result bytes
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

enum class OnError : std::uint8_t { unset, stop, carry_on };

struct Step {
  std::string id;
  std::string tool;
  std::string args;  // canonical JSON object; {"$input":n} and {"$step":id,"at":p} stand for one
                     // whole value
  std::vector<std::string> needs;  // ids of earlier steps
  OnError on_error = OnError::stop;
};

struct Plan {
  std::vector<std::string> inputs;  // names, given at activation
  std::vector<Step> steps;          // in an order where every need comes first
};

enum class EntryKind : std::uint8_t { unset, session, plan, agent };

struct Audience {
  PublicKey node;
  Incarnation incarnation;
};

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
  std::int64_t max_revocation_age_s = 0;
  TimeAssurance time_assurance = TimeAssurance::unset;
  EndOn end_on;
  std::vector<Grant> grants;
  Tier min_tier = Tier::unset;
  EntryKind entry = EntryKind::unset;
  Plan plan;                   // where entry is plan
  std::uint8_t max_depth = 0;  // of delegation
  std::int64_t log_quota_bytes = 0;
  bool log_all_arguments = false;  // else digests only
};

// One narrowing block of a chain.
struct KeptGrant {
  std::string id;
  std::string parent;         // id of a grant of the block directly before
  std::vector<ArgRule> args;  // further constraints
  Budget budget;              // smaller
};

struct Block {
  Hash previous;     // hash of all before it
  PublicKey holder;  // the next holder
  std::vector<KeptGrant> grants;
  std::optional<std::int64_t> lease_ttl_ms, lease_idle_ms, not_before_s, not_after_s;
};

}  // namespace taper::capsules
