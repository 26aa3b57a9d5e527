// An order from the centre: a revoker of the trust root ends one task, now. It only ever ends, so
// nothing asks when or how often it is brought. docs/formats/order.md
#pragma once

#include <string>

#include "capsules/trust_root.h"

namespace taper::capsules {

struct Order {
  TaskId task;
  // 1 to limits::kOrderWhyBytesMax bytes, of which none is escaped by escape_text: it is shown
  // everywhere as it was signed.
  std::string why;
  std::int64_t issued_at_s = 0;  // since 1970, by the signer's clock; told, never compared
  KeyId signer;                  // set by open_order
};
// The payload to sign under statement::kOrder, and the file. Error: field_invalid.
Result<Bytes> encode_order(const Order& order);
Bytes frame_order(ByteSpan payload, const RootSignature& signature);
// Whether it begins as an order does.
bool is_order(ByteSpan file);
// One signature, by a revoker of `root`. Errors: too_large, envelope_malformed, order_signer,
// signature_wrong, payload_malformed, field_invalid.
Result<Order> open_order(ByteSpan file, const TrustRoot& root);

}  // namespace taper::capsules
