// Results as later steps and the log know them.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::authority {

// One JSON value in canonical form, for tools that promise JSON. Error: tool_output_malformed.
Result<std::string> canonical_json(std::string_view text);

// BLAKE2b-256 of a result's bytes, for Outcome::result.
Hash result_hash(std::string_view result);

}  // namespace taper::authority
