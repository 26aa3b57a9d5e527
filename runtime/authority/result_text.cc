#include "runtime/authority/result_text.h"

#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::authority {

Result<capsules::Value> parse_output(std::string_view text) {
  Result<capsules::Value> value = capsules::parse_value(as_bytes(text), limits::kResultBytesMax);
  if (!value) return Error(Code::tool_output_malformed, value.error().detail());
  return value;
}

Hash result_hash(std::string_view result) { return crypto::hash(as_bytes(result)); }

}  // namespace taper::authority
