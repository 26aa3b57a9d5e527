// A session's tags: only the next message of the other side fits.
#include "crypto/channel.h"

#include <catch2/catch.hpp>

#include "crypto/crypto.h"

namespace taper::crypto {
namespace {

const Hash kTranscript = hash(as_bytes("what was said"));

struct Pair {
  ExchangeKey holder_key = ExchangeKey::generate();
  ExchangeKey node_key = ExchangeKey::generate();
  Channel holder = make(Side::holder, holder_key, node_key);
  Channel node = make(Side::node, node_key, holder_key);

  static Channel make(Side side, const ExchangeKey& own, const ExchangeKey& other) {
    const auto shared = own.shared_with(other.public_key());
    REQUIRE(shared.ok());
    return {side, *shared, kTranscript};
  }
};

ByteSpan text(std::string_view words) { return as_bytes(words); }

TEST_CASE("each side opens what the other sealed, in order", "[crypto][channel]") {
  Pair pair;
  for (int i = 0; i < 3; ++i) {
    CHECK(pair.node.open(text("ask"), pair.holder.seal(text("ask"))).ok());
    CHECK(pair.holder.open(text("reply"), pair.node.seal(text("reply"))).ok());
  }
  CHECK(pair.node.opened() == 3);
  CHECK(pair.holder.sealed() == 3);
}

TEST_CASE("a message changed, repeated, skipped or turned round ends the channel",
          "[crypto][channel]") {
  SECTION("changed") {
    Pair pair;
    CHECK(pair.node.open(text("asK"), pair.holder.seal(text("ask"))).code() ==
          Code::signature_wrong);
  }
  SECTION("repeated") {
    Pair pair;
    const Tag tag = pair.holder.seal(text("ask"));
    REQUIRE(pair.node.open(text("ask"), tag).ok());
    CHECK(pair.node.open(text("ask"), tag).code() == Code::signature_wrong);
  }
  SECTION("skipped") {
    Pair pair;
    (void)pair.holder.seal(text("lost"));
    CHECK(pair.node.open(text("ask"), pair.holder.seal(text("ask"))).code() ==
          Code::signature_wrong);
  }
  SECTION("turned round") {
    Pair pair;
    CHECK(pair.holder.open(text("ask"), pair.holder.seal(text("ask"))).code() ==
          Code::signature_wrong);
  }
  SECTION("nothing is accepted after a message that did not fit") {
    Pair pair;
    const Tag good = pair.holder.seal(text("ask"));
    CHECK_FALSE(pair.node.open(text("other"), good).ok());
    CHECK(pair.node.open(text("ask"), good).code() == Code::signature_wrong);
    CHECK(pair.node.opened() == 0);
  }
}

TEST_CASE("another transcript or exchange gives other tags", "[crypto][channel]") {
  const ExchangeKey own = ExchangeKey::generate();
  const ExchangeKey peer = ExchangeKey::generate();
  const auto shared = own.shared_with(peer.public_key());
  REQUIRE(shared.ok());
  Channel first(Side::holder, *shared, kTranscript);
  Channel other_words(Side::holder, *shared, hash(as_bytes("other words")));
  Pair other_keys;
  const Tag tag = first.seal(text("ask"));
  CHECK(other_words.seal(text("ask")) != tag);
  CHECK(other_keys.holder.seal(text("ask")) != tag);
}

TEST_CASE("a point of small order is refused", "[crypto][channel]") {
  const ExchangeKey own = ExchangeKey::generate();
  CHECK(own.shared_with(SealKey{}).code() == Code::signature_wrong);
  SealKey one;
  one.bytes[0] = 1;
  CHECK(own.shared_with(one).code() == Code::signature_wrong);
}

}  // namespace
}  // namespace taper::crypto
