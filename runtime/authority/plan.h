// Filling a plan's step: literal arguments with "$input" and "$step" references replaced by whole
// values. Pure. What it gives is not trusted: authorise parses and checks it like any arguments.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::authority {

// The result of an earlier step, JSON; empty when it has none.
using StepResult = std::function<std::optional<std::string>(std::string_view step)>;

// Canonical argument bytes of a step. Error step_reference: no such step, no result, nothing at the
// pointer; input_missing.
Result<Bytes> fill_arguments(std::string_view step_args,
                             const std::map<std::string, std::string>& inputs,
                             const StepResult& result_of);

// One JSON value in canonical form, for tools that promise JSON. Error: tool_output_malformed.
Result<std::string> canonical_json(std::string_view text);

// BLAKE2b-256 of a result's bytes, for Outcome::result.
Hash result_hash(std::string_view result);

}  // namespace taper::authority
