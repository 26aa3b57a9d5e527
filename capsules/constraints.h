// Evaluating constraints. Pure, bounded by counts and bytes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "capsules/capsule.h"

namespace taper::capsules {

// Absolute; no NUL; no empty, "." or ".." component; no trailing slash ("/" itself excepted).
bool is_plain_path(std::string_view path);
// `path` is `tree` or lies below it; both in plain form.
bool is_under(std::string_view path, std::string_view tree);
// Linear time in the product of both lengths; '*' and '?' do not match '/'.
bool glob_matches(std::string_view pattern, std::string_view text);

// The moment of a decision, for constraints about the time.
struct Moment {
  std::int64_t wall_s = 0;  // since 1970
  bool anchored = false;    // known from a signed source; otherwise time_of_day holds for nothing
  bool any = false;         // never for a call: asks what may hold at some time or other
  // It may be so much earlier; time_of_day holds only where it does throughout.
  std::int64_t unsure_s = 0;
};
inline constexpr Moment kAnyMoment{0, false, true};

// Bounded by limits::kConstraintStepsMax; what takes more does not hold. No constraint negates
// another, so that giving up never allows more.
bool holds(const Constraint& constraint, const Value& value, const Moment& moment = {});
// One `under` at least speaks about the same value: a text there must be a plain path.
bool speaks_of_path(std::span<const Constraint> all);
std::string_view constraint_name(const Constraint& constraint);
std::string describe_constraint(const Constraint& constraint);  // "under /var/log", for people

// What kinds of value a tool's input takes.
enum class InputType : std::uint8_t { unset, string, path, integer, boolean, json };
struct InputSpec {
  std::string name;
  InputType type = InputType::unset;
  bool optional = false;
};

// Checks `arguments` against a grant's rules (closed world). Every path input and every argument
// with an `under` rule must be in plain form before any constraint. The first that fails is the
// error: argument_unknown, argument_missing, path_malformed, argument_refused, tool_input.
Status check_arguments(const std::vector<ArgRule>& rules, const std::vector<InputSpec>& inputs,
                       const Object& arguments, const Moment& moment = {});

}  // namespace taper::capsules
