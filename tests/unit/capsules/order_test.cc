// Orders that end a task: what passes, byte for byte, and whose they must be.
#include "capsules/order.h"

#include <catch2/catch.hpp>

#include "capsules/signed_time.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "tests/support/capsule_maker.h"

namespace taper::capsules {
namespace {

struct Centre {
  Centre() {
    TAPER_ASSERT(crypto_ready.ok());
    TrustRootData data;
    data.version = 1;
    data.issued_at_s = 1;
    data.root_keys = {revoker.public_key()};
    data.root_threshold = 1;
    data.issuers.emplace_back().key = issuer.public_key();
    data.issuers.front().limits = {1, 1, 1, true, {}, false};
    data.issuer_threshold = 1;
    data.time_keys = {time.public_key()};
    data.revokers = {other.public_key(), revoker.public_key()};
    const Bytes payload = encode_root(data).value();
    root.emplace(open_root(frame_root(payload, {{crypto::key_id(revoker.public_key()),
                                                 revoker.sign(crypto::statement::kRoot, payload)}}))
                     .value());
  }

  static Bytes signed_by(const crypto::SigningKey& key, ByteSpan payload,
                         std::string_view type = crypto::statement::kOrder) {
    return frame_order(payload, {crypto::key_id(key.public_key()), key.sign(type, payload)});
  }
  Code opened(const Bytes& file) const { return open_order(file, *root).code(); }

  const Status crypto_ready = crypto::initialise();
  crypto::SigningKey revoker = crypto::SigningKey::from_seed(Bytes(32, 1)),
                     other = crypto::SigningKey::from_seed(Bytes(32, 2)),
                     issuer = crypto::SigningKey::from_seed(Bytes(32, 3)),
                     time = crypto::SigningKey::from_seed(Bytes(32, 4));
  std::optional<TrustRoot> root;
};

Order sample_order() {
  Order order{.task = {}, .why = "Größer, \"stolen\"", .issued_at_s = 1'700'000'000, .signer = {}};
  order.task.bytes.fill(9);
  return order;
}

TEST_CASE("an order by any one revoker opens as it was signed", "[capsules][R66]") {
  const Centre centre;
  const Bytes payload = encode_order(sample_order()).value();
  for (const crypto::SigningKey* key : {&centre.revoker, &centre.other}) {
    const Bytes file = Centre::signed_by(*key, payload);
    CHECK(is_order(file));
    CHECK_FALSE(is_signed_time(file));
    const Result<Order> order = open_order(file, *centre.root);
    REQUIRE(order.ok());
    CHECK(order->task == sample_order().task);
    CHECK(order->why == sample_order().why);
    CHECK(order->issued_at_s == sample_order().issued_at_s);
    CHECK(order->signer == crypto::key_id(key->public_key()));
    CHECK(encode_order(*order).value() == payload);
  }
}

TEST_CASE("only a revoker's signature over an order counts", "[capsules][R66]") {
  const Centre centre;
  const Bytes payload = encode_order(sample_order()).value();
  const KeyId revoker = crypto::key_id(centre.revoker.public_key());
  SECTION("of another role, or nobody's") {
    const crypto::SigningKey stranger = crypto::SigningKey::from_seed(Bytes(32, 5));
    for (const auto* key : {&centre.issuer, &centre.time, &stranger})
      CHECK(centre.opened(Centre::signed_by(*key, payload)) == Code::order_signer);
  }
  SECTION("by another key in a revoker's name") {
    CHECK(centre.opened(frame_order(
              payload, {revoker, centre.issuer.sign(crypto::statement::kOrder, payload)})) ==
          Code::signature_wrong);
  }
  SECTION("over another kind of statement") {
    CHECK(centre.opened(Centre::signed_by(centre.revoker, payload, crypto::statement::kTime)) ==
          Code::signature_wrong);
  }
  SECTION("over other bytes") {
    const Bytes file = Centre::signed_by(centre.revoker, payload);
    for (std::size_t at = 0; at < file.size(); ++at) {
      Bytes changed = file;
      changed[at] ^= 1;
      CHECK_FALSE(open_order(changed, *centre.root).ok());
    }
  }
  SECTION("twice") {
    Bytes file = Centre::signed_by(centre.revoker, payload);
    const std::size_t one = 4 + 4 + payload.size();
    const Bytes again(file.begin() + static_cast<std::ptrdiff_t>(one) + 1, file.end());
    file[one] = 2;
    file.insert(file.end(), again.begin(), again.end());
    CHECK(centre.opened(file) == Code::envelope_malformed);
  }
}

TEST_CASE("an order has one form, whole and within its caps", "[capsules]") {
  const Centre centre;
  const Bytes payload = encode_order(sample_order()).value();
  const Bytes file = Centre::signed_by(centre.revoker, payload);
  const auto signed_order = [&centre](const Bytes& bytes) {
    return centre.opened(Centre::signed_by(centre.revoker, bytes));
  };
  for (std::size_t size = 0; size < file.size(); ++size)
    CHECK(centre.opened(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size))) ==
          Code::envelope_malformed);
  Bytes longer = file;
  longer.push_back(0);
  CHECK(centre.opened(longer) == Code::envelope_malformed);
  longer.resize(limits::kOrderFileBytesMax + 1);
  CHECK(centre.opened(longer) == Code::too_large);
  Bytes more = payload;
  more.push_back(0);
  CHECK(signed_order(more) == Code::payload_malformed);
  Bytes other_form = payload;
  other_form[0] = 2;
  CHECK(signed_order(other_form) == Code::payload_malformed);
  CHECK(signed_order(Bytes(payload.begin(), payload.end() - 1)) == Code::payload_malformed);
  // What encode_order refuses to make, another program may have signed.
  const auto raw = [&](const Order& order) {
    ByteWriter out;
    out.u8(1).raw(order.task.span()).i64(order.issued_at_s).text(order.why);
    const Bytes bytes = std::move(out).bytes();
    const Code code = signed_order(bytes);
    if (order.why.size() <= limits::kOrderWhyBytesMax) CHECK(encode_order(order).code() == code);
    return code;
  };
  Order order = sample_order();
  order.task = {};
  CHECK(raw(order) == Code::field_invalid);
  for (const std::int64_t at : {std::int64_t{-1}, limits::kTimeMaxS + 1}) {
    order = sample_order();
    order.issued_at_s = at;
    CHECK(raw(order) == Code::field_invalid);
  }
  for (const std::string& why :
       {std::string(), std::string("a\nb"), std::string("\x1b[2J"), std::string("\xff"),
        std::string("\xe2\x80\xae"), std::string("\\")}) {
    order = sample_order();
    order.why = why;
    CHECK(raw(order) == Code::field_invalid);
  }
  order = sample_order();
  order.why = std::string(limits::kOrderWhyBytesMax, 'x');
  CHECK(raw(order) == Code::ok);
  order.why += 'x';
  CHECK(raw(order) == Code::payload_malformed);
  CHECK(encode_order(order).code() == Code::field_invalid);
}

}  // namespace
}  // namespace taper::capsules
