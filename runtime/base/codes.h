// The numbered error table. codes.def is its only source: enum, texts, exit codes and
// docs/ERRORS.md come from it. A number, once released, is never used for anything else.
#pragma once

#include <cstdint>
#include <span>

namespace taper {

// What the reader of an error should do next.
enum class Kind : std::uint8_t {
  ok,           // nothing
  usage,        // call the command differently
  deny,         // the capsule, the root or the node says no
  stale,        // bring news (time, revocations), then try again
  exhausted,    // a budget, a quota or an activation is spent
  invalid,      // the bytes are malformed, forged or not what they claim
  corrupt,      // stored state does not verify: stop and restore
  unavailable,  // this host cannot do it now (missing feature, lock, space)
  unknown,      // it may or may not have happened: recover, never retry blindly
  ended,        // the task ended before it was done
  bug,          // our fault
};

enum class Code : std::uint16_t {
#define TAPER_CODE(number, name, kind, question, text, fix) name = number,
#include "runtime/base/codes.def"
#undef TAPER_CODE
};

struct CodeInfo {
  std::uint16_t number;
  const char* name;
  Kind kind;
  const char* question;  // which question of open, admit or authorise it answers; "" where none
  const char* text;      // one sentence without a full stop
  const char* fix;       // how to mend it; "" where detail must say it
};

// Total: an unknown number answers as Code::unset.
const CodeInfo& describe(Code code);
const CodeInfo& describe_number(std::uint16_t number);
std::span<const CodeInfo> all_codes();

// The process exit code of the command line contract: 0 done, 1 internal, 2 usage, 3 denied, stale
// or exhausted, 4 invalid, forged or corrupt, 5 this host cannot, 6 the task ended before
// completing.
int exit_code(Code code);

}  // namespace taper
