#include "runtime/authority/session_statement.h"

#include "crypto/crypto.h"

namespace taper::authority {

Bytes session_statement(const SessionOffer& offer) {
  ByteWriter out;
  out.raw(offer.fleet.span()).raw(offer.node.span()).raw(offer.incarnation.span());
  out.raw(offer.chain.span()).raw(offer.challenge.span()).raw(offer.exchange.span());
  return std::move(out).bytes();
}

Bytes answer_statement(const SessionOffer& offer, const crypto::Signature& holder,
                       const SessionAnswer& answer) {
  ByteWriter out;
  out.raw(session_statement(offer)).raw(holder).raw(answer.task.span());
  out.u8(answer.resumed ? 1 : 0).raw(answer.exchange.span());
  return std::move(out).bytes();
}

Hash session_transcript(const SessionOffer& offer, const crypto::Signature& holder,
                        const SessionAnswer& answer, const crypto::Signature& node) {
  return crypto::hash({answer_statement(offer, holder, answer), node});
}

}  // namespace taper::authority
