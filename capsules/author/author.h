// Authoring at the centre: source language, lint, encoding, showing, explaining. Outside the
// trusted count: whatever it writes is checked again by `open`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capsules/builtins.h"
#include "capsules/open.h"

namespace taper::capsules {

// A tool as the centre knows it: builtins, or what `taper tools list --json` printed on the node.
struct KnownTool {
  std::string name;
  bool builtin = false;
  Effect effect = Effect::unset;
  std::optional<Hash> digest;
  std::vector<InputSpec> inputs;
  std::vector<std::string> secrets = {};  // the names of those that it reads
  bool agent = false;                     // an agent's program, which nobody calls
};
using KnownTools = std::map<std::string, KnownTool, std::less<>>;
KnownTools builtin_known_tools();
// Adds the tools of that JSON. Error: tool_file_malformed.
Status add_known_tools(KnownTools& tools, std::string_view json);

enum class Severity : std::uint8_t { note, error };
struct Finding {
  Severity severity = Severity::error;
  Code code = Code::source_invalid;  // ok for a note
  std::string where;  // "line 12: grant[1].args.path", counted from 0; no line where not known
  std::string what;   // one sentence
  std::string fix;
};

// The source, understood as far as it can be without keys. `capsule` lacks issuer, serial, holder,
// audience, fleet and the boxes of its secrets until they are filled in.
struct Draft {
  Capsule capsule;
  std::optional<PublicKey> holder;  // where the source names one
  std::optional<Audience> audience;
  std::optional<std::int64_t> window_from_s;
  std::int64_t window_for_s = 0;
  std::map<std::string, std::size_t, std::less<>> lines;  // of the source, by "grant[0].args.path"
};
struct Parsed {
  std::optional<Draft> draft;     // empty when there are errors
  std::vector<Finding> findings;  // in the order of the source
};
// Never an error of its own: everything wrong is a finding, as many at once as can be found. Schema
// parts and constraints not enforced yet are findings with not_enforced_yet, by name.
Parsed parse_source(std::string_view toml, const KnownTools& tools);

// Checks against the root's limits for this issuer and what can never match. `root` may be null.
std::vector<Finding> lint(const Draft& draft, const KnownTools& tools, const TrustRoot* root,
                          const KeyId* issuer);

// Why a text looks like a password, a key or a token in clear; empty: it does not.
std::string kind_of_secret(std::string_view text);
// The same for the words of a command, where an option may name its value; the first found.
std::string secret_in_words(const std::vector<std::string>& words);

// The box for the secret `name` of a capsule that is complete but for its boxes: it binds them to
// all that stands in capsules/secret.h. Error: too_large.
Result<Bytes> seal_secret(const Capsule& capsule, const std::string& name, ByteSpan value,
                          const SealKey& to);

// The payload bytes of a complete capsule. Error: field_missing, field_invalid.
Result<Bytes> encode_capsule(const Capsule& capsule);
// A narrowing block's payload.
Result<Bytes> encode_block(const Block& block);

// success: one more block may follow. Error: block_broken, with how deep the issuer allows.
Status may_narrow(const UntrustedCapsule& chain);
// The source of a narrowing block, checked against the chain it will stand at the end of. `block`
// lacks `previous` and `holder`; it is empty when there are errors. A window without `from` starts
// at `now_s`.
struct Narrowing {
  std::optional<Block> block;
  std::vector<Finding> findings;  // in the order of the source
};
Narrowing parse_narrowing(std::string_view toml, const UntrustedCapsule& chain,
                          const KnownTools& tools, std::int64_t now_s);

// A note for each step of the plan that the narrowed chain will have denied and the root block
// alone would not.
std::vector<Finding> lint_narrowed_plan(const UntrustedCapsule& narrowed, const KnownTools& tools);

// A commented starting point for `taper capsule new`.
std::string source_template();

// For people (times absolute and, given `now_s`, remaining; everything escaped) and for programs.
std::string show_text(const UntrustedCapsule& capsule, std::optional<std::int64_t> now_s);
std::string show_json(const UntrustedCapsule& capsule);
std::string show_root_text(const TrustRoot& root);
std::string show_root_json(const TrustRoot& root);

// The whole path of one call down the chain, for the questions that need no node; the others are
// named as such. The question of a block is called after its number.
struct ExplainAnswer {
  std::string question;
  enum class Verdict : std::uint8_t { passed, failed, needs_node } verdict = Verdict::needs_node;
  std::string expected, got;
  Code code = Code::ok;
};
struct Explanation {
  std::vector<ExplainAnswer> answers;
  std::string grant;     // the id chosen; empty: none
  Code code = Code::ok;  // of the first that failed
};
Explanation explain(const Capsule& capsule, std::string_view tool, ByteSpan arguments,
                    const KnownTools& tools, std::optional<std::int64_t> at_s,
                    const std::vector<Block>& blocks = {});

// Text armour for hand transport: "-----BEGIN TAPER CAPSULE-----" … base64 in 64 columns …
// checksum.
std::string armour(std::string_view label, ByteSpan bytes);
Result<Bytes> unarmour(std::string_view label, std::string_view text);

}  // namespace taper::capsules
