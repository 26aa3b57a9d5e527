// How a session opens: neither side can be posed as, and nothing that was said can be changed.
#include "runtime/authority/handshake.h"

#include <catch2/catch.hpp>

#include "crypto/crypto.h"
#include "tests/unit/authority/session_keys.h"

namespace taper::authority {
namespace {

Challenge challenge() {
  return {fleet(), keys().node.public_key(), crypto::random_id<Incarnation>(),
          crypto::random_id<Nonce>()};
}

HolderHandshake holder(const Challenge& asked) {
  return {to_bytes(as_bytes("capsule")),
          {asked.fleet, asked.node, asked.incarnation},
          [](ByteSpan statement) {
            return keys().holder.sign(crypto::statement::kSession, statement);
          }};
}

struct Opening {
  Challenge asked = challenge();
  HolderHandshake half = holder(asked);
  Open open = opened_by(half);
  TaskId task = crypto::random_id<TaskId>();

  Open opened_by(HolderHandshake& handshake) const {
    Result<Open> made = handshake.open(asked);
    REQUIRE(made.ok());
    return *made;
  }
  NodeAnswer answer(const crypto::SigningKey& by) const {
    Result<NodeAnswer> made = answer_open(asked, open, task, false, by);
    REQUIRE(made.ok());
    return std::move(*made);
  }
};

TEST_CASE("both halves arrive at one channel", "[authority][session][R3]") {
  Opening opening;
  NodeAnswer node = opening.answer(keys().node);
  Result<crypto::Channel> mine = opening.half.conclude(node.opened);
  REQUIRE(mine.ok());
  CHECK(node.channel.open(as_bytes("ask"), mine->seal(as_bytes("ask"))).ok());
  CHECK(mine->open(as_bytes("reply"), node.channel.seal(as_bytes("reply"))).ok());
  CHECK(crypto::verify(keys().holder.public_key(), crypto::statement::kSession,
                       session_statement(offer_of(opening.asked, opening.open)),
                       opening.open.signature));
}

TEST_CASE("a node that the capsule does not name gets no proof", "[authority][session]") {
  const Challenge asked = challenge();
  for (int field = 0; field < 3; ++field) {
    Challenge other = asked;
    if (field == 0) other.fleet.bytes[0] ^= 1;
    if (field == 1) other.node = keys().stranger.public_key();
    if (field == 2) other.incarnation.bytes[0] ^= 1;
    HolderHandshake half = holder(asked);
    CHECK(half.open(other).code() == Code::audience_other);
  }
}

TEST_CASE("an answer that is not the node's, or not to this offer, opens nothing",
          "[authority][session]") {
  Opening opening;
  SECTION("signed by another") {
    CHECK(opening.half.conclude(opening.answer(keys().stranger).opened).code() ==
          Code::signature_wrong);
  }
  SECTION("changed on the way") {
    for (int field = 0; field < 3; ++field) {
      Opened changed = opening.answer(keys().node).opened;
      if (field == 0) changed.answer.task.bytes[0] ^= 1;
      if (field == 1) changed.answer.resumed = !changed.answer.resumed;
      if (field == 2) changed.answer.exchange = crypto::ExchangeKey::generate().public_key();
      CHECK(opening.half.conclude(changed).code() == Code::signature_wrong);
    }
  }
  SECTION("to an earlier offer of the same holder") {
    const Opened old = opening.answer(keys().node).opened;
    HolderHandshake again = holder(opening.asked);
    REQUIRE(again.open(opening.asked).ok());
    CHECK(again.conclude(old).code() == Code::signature_wrong);
  }
  SECTION("to an offer whose exchange key an edge has put in place of the holder's") {
    const crypto::ExchangeKey edge = crypto::ExchangeKey::generate();
    Open forged = opening.open;
    forged.exchange = edge.public_key();
    CHECK_FALSE(crypto::verify(keys().holder.public_key(), crypto::statement::kSession,
                               session_statement(offer_of(opening.asked, forged)),
                               forged.signature));
    const Result<NodeAnswer> answered =
        answer_open(opening.asked, forged, opening.task, false, keys().node);
    REQUIRE(answered.ok());
    CHECK(opening.half.conclude(answered->opened).code() == Code::signature_wrong);
  }
}

TEST_CASE("an exchange key of small order is not answered", "[authority][session]") {
  Opening opening;
  opening.open.exchange = SealKey{};
  CHECK(answer_open(opening.asked, opening.open, opening.task, false, keys().node).code() ==
        Code::signature_wrong);
}

}  // namespace
}  // namespace taper::authority
