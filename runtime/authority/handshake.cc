#include "runtime/authority/handshake.h"

#include "crypto/crypto.h"
#include "runtime/base/assert.h"

namespace taper::authority {

SessionOffer offer_of(const Challenge& challenge, const Open& open) {
  return {.fleet = challenge.fleet,
          .node = challenge.node,
          .incarnation = challenge.incarnation,
          .chain = crypto::hash(open.capsule),
          .challenge = challenge.challenge,
          .exchange = open.exchange};
}

HolderHandshake::HolderHandshake(Bytes capsule, const Audience& audience, Prove prove)
    : capsule_(std::move(capsule)), audience_(audience), prove_(std::move(prove)) {}

Result<Open> HolderHandshake::open(const Challenge& challenge) {
  TAPER_ASSERT(!offer_);
  if (challenge.fleet != audience_.fleet || challenge.node != audience_.node ||
      challenge.incarnation != audience_.incarnation)
    return Error(Code::audience_other,
                 {"node", challenge.node.hex() + " " + challenge.incarnation.hex(),
                  audience_.node.hex() + " " + audience_.incarnation.hex(), ""});
  Open open;
  open.capsule = capsule_;
  open.exchange = exchange_.public_key();
  offer_ = offer_of(challenge, open);
  signature_ = prove_(session_statement(*offer_));
  open.signature = signature_;
  return open;
}

Result<crypto::Channel> HolderHandshake::conclude(const Opened& opened) const {
  TAPER_ASSERT(offer_);
  const Bytes statement = answer_statement(*offer_, signature_, opened.answer);
  if (!crypto::verify(audience_.node, crypto::statement::kSessionAnswer, statement,
                      opened.signature))
    return Error(Code::signature_wrong, {"node", audience_.node.hex(), "another's answer", ""});
  TAPER_TRY(const crypto::Secret shared, exchange_.shared_with(opened.answer.exchange));
  return crypto::Channel(crypto::Side::holder, shared,
                         session_transcript(*offer_, signature_, opened.answer, opened.signature));
}

Result<NodeAnswer> answer_open(const Challenge& challenge, const Open& open, const TaskId& task,
                               bool resumed, const crypto::SigningKey& node) {
  const crypto::ExchangeKey exchange = crypto::ExchangeKey::generate();
  TAPER_TRY(const crypto::Secret shared, exchange.shared_with(open.exchange));
  const SessionOffer offer = offer_of(challenge, open);
  const SessionAnswer answer{task, resumed, exchange.public_key()};
  const crypto::Signature signature =
      node.sign(crypto::statement::kSessionAnswer, answer_statement(offer, open.signature, answer));
  const Hash transcript = session_transcript(offer, open.signature, answer, signature);
  return NodeAnswer{Opened{answer, signature},
                    crypto::Channel(crypto::Side::node, shared, transcript)};
}

}  // namespace taper::authority
