#include "capsules/order.h"

#include "capsules/envelope.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

constexpr std::string_view kMagic = "TPO1";
constexpr std::uint8_t kEndsTask = 1;

Error invalid(std::string field, std::string expected, std::string got) {
  return Error(Code::field_invalid, {std::move(field), std::move(expected), std::move(got), ""});
}

Status check(const Order& order) {
  if (order.task.is_zero()) return invalid("task", "the id of a task", "all zero");
  if (order.issued_at_s < 0 || order.issued_at_s > limits::kTimeMaxS)
    return invalid("issued_at", "a time from 1970 to 9999", std::to_string(order.issued_at_s));
  if (order.why.empty() || order.why.size() > limits::kOrderWhyBytesMax)
    return invalid("why", "1 to " + std::to_string(limits::kOrderWhyBytesMax) + " bytes",
                   std::to_string(order.why.size()));
  if (escape_text(order.why) != order.why)
    return invalid("why", "printable text without a backslash", escape_text(order.why));
  return success();
}

}  // namespace

Result<Bytes> encode_order(const Order& order) {
  TAPER_CHECK(check(order));
  ByteWriter out;
  out.u8(kEndsTask).raw(order.task.span()).i64(order.issued_at_s).text(order.why);
  return std::move(out).bytes();
}

Bytes frame_order(ByteSpan payload, const RootSignature& signature) {
  ByteWriter out;
  write_signed_part(out, kMagic, payload, views({signature}));
  return std::move(out).bytes();
}

bool is_order(ByteSpan file) { return as_text(file).starts_with(kMagic); }

Result<Order> open_order(ByteSpan file, const TrustRoot& root) {
  TAPER_TRY(const SoleSignature opened,
            open_sole_signature(
                file, {.what = "order",
                       .magic = kMagic,
                       .bytes_max = limits::kOrderFileBytesMax,
                       .statement = crypto::statement::kOrder,
                       .keys = root.data().revokers,
                       .others = Code::order_signer,
                       .signer = "a revoker of root " + std::to_string(root.data().version)}));
  ByteReader in(opened.payload);
  const std::uint8_t form = in.u8();
  Order order;
  order.task = TaskId::from(in.take(TaskId::kSize)).value_or(TaskId{});
  order.issued_at_s = in.i64();
  order.why = in.text(limits::kOrderWhyBytesMax);
  order.signer = opened.signer;
  if (!in.done() || form != kEndsTask)
    return Error(Code::payload_malformed, {"order", "a form that is known, and no more", "", ""});
  TAPER_CHECK(check(order));
  return order;
}

}  // namespace taper::capsules
