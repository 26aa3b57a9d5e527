// Results as later steps and the log know them.
#pragma once

#include <string>
#include <string_view>

#include "capsules/value.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::authority {

// The one JSON value of a tool that promises JSON. Error: tool_output_malformed.
Result<capsules::Value> parse_output(std::string_view text);

// BLAKE2b-256 of a result's bytes, for Outcome::result.
Hash result_hash(std::string_view result);

}  // namespace taper::authority
