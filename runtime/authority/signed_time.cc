// Signed time: challenges of this boot, and their answers. Nothing here asks what time it is.
#include <algorithm>

#include "capsules/signed_time.h"
#include "crypto/crypto.h"
#include "runtime/authority/state.h"
#include "runtime/authority/time_report.h"
#include "runtime/base/text.h"

namespace taper::authority {
namespace {

using capsules::SignedTime;
using capsules::TimeChallenge;

constexpr std::int64_t kMsPerS = 1000;

// What the challenge names is this node, in this life and this boot.
Status check_here(const TimeChallenge& asked, const NodeFacts& node, const Now& now) {
  if (asked.node != node.node)
    return refusal(Code::time_other_node, "node", node.node.hex(), asked.node.hex());
  if (asked.incarnation != node.incarnation)
    return refusal(Code::time_other_node, "incarnation", node.incarnation.hex(),
                   asked.incarnation.hex());
  if (asked.boot != now.boot_id)
    return refusal(Code::time_other_boot, "boot", now.boot_id.hex(), asked.boot.hex());
  return success();
}

// Spends the nonce; gives the boot time since it was made.
Result<std::int64_t> spend(TimeNonces& nonces, const Nonce& nonce, const Now& now) {
  const auto found = std::ranges::find(nonces.given, nonce, &TimeNonce::nonce);
  const bool known = nonces.boot_id == now.boot_id && found != nonces.given.end();
  if (!known || found->used)
    return refusal(Code::time_nonce, "nonce", "one of this boot's, used once",
                   known ? "one used already" : "another, or one too many ago");
  const std::int64_t age_ms = saturating_subtract(now.boot_ms, found->minted_ms);
  if (age_ms < 0 || age_ms > limits::kTimeNonceMs)
    return refusal(Code::time_nonce_stale, "challenge",
                   "at most " + format_duration_ms(limits::kTimeNonceMs) + " old",
                   format_duration_ms(age_ms));
  found->used = true;
  return age_ms;
}

Status check_root_end(const SignedTime& time, const capsules::TrustRoot& root) {
  const std::int64_t expires = root.data().expires_s.value_or(time.midpoint_s + 1);
  if (time.midpoint_s < expires) return success();
  return refusal(Code::time_beyond_root, "time", "before the root's end, " + format_utc_s(expires),
                 format_utc_s(time.midpoint_s));
}

capsules::Object beacon_body(const SignedTime& time, std::string_view verdict, const Now& now) {
  capsules::Object body{{"verb", "time"},
                        {"verdict", verdict},
                        {"answer", time.answers.has_value()},
                        {"midpoint", format_utc_s(time.midpoint_s)},
                        {"radius_s", time.radius_s},
                        {"signer", time.signer.hex()}};
  if (time.answers) body.emplace_back("nonce", time.answers->nonce.hex());
  add_clocks(body, now);
  return body;
}

}  // namespace

Result<Bytes> Authority::time_challenge(const Now& now) {
  if (now.boot_id.is_zero())
    return refusal(Code::os_failure, "boot id", "one that can be read", "none");
  TimeNonces next = state_->nonces;
  if (next.boot_id != now.boot_id) next = {now.boot_id, {}};
  if (next.given.size() >= limits::kTimeNoncesMax) next.given.erase(next.given.begin());
  const Nonce nonce = next.given.emplace_back(crypto::random_id<Nonce>(), now.boot_ms).nonce;
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) { return put_nonces(txn, next); }));
  state_->nonces = std::move(next);
  return capsules::encode_time_challenge(
      {state_->node.node, state_->node.incarnation, now.boot_id, nonce});
}

Status Authority::inherit_time(std::int64_t signed_s, const Now& now) {
  const auto nothing = [](store::WriteTxn&) { return success(); };
  TAPER_CHECK(state_->commit(now, nothing, raise(state_->time, signed_s, now)));
  return success();
}

Status Authority::import_time(ByteSpan file, const Now& now) {
  State& state = *state_;
  if (!state.root) return refusal(Code::no_trust_root, "root", "a trust root", "none");
  TAPER_TRY(const SignedTime time, capsules::open_time(file, *state.root));
  TimeNonces nonces = state.nonces;
  std::int64_t age_ms = 0;
  if (time.answers) {
    TAPER_CHECK(check_here(*time.answers, state.node, now));
    TAPER_TRY(age_ms, spend(nonces, time.answers->nonce, now));
  }
  TAPER_CHECK(check_root_end(time, *state.root));
  const std::int64_t lo_s = time.midpoint_s - time.radius_s;
  const std::int64_t hi_s = time.midpoint_s + time.radius_s;
  std::optional<TimeState> next = raise(state.time, lo_s, now);
  if (time.answers)
    next = with_anchor(state.time, lo_s, hi_s, age_ms, now);
  else if (lo_s <= state.kept_hard_ms / kMsPerS)
    return success();  // nothing new, also after a power cut
  const auto body = beacon_body(time, next ? "taken" : "conflict", now);
  TAPER_CHECK(state.commit(
      now,
      [&](store::WriteTxn& txn) -> Status {
        TAPER_CHECK(txn.append(store::LeafType::beacon, capsules::write_canonical(body)));
        return put_nonces(txn, nonces);
      },
      next));
  state.nonces = std::move(nonces);
  if (next) return success();
  const std::int64_t hard_s = carry(state.time, now).hard_ms / 1000;
  return time_denial(Code::time_conflict, "time", "not before " + format_utc_s(hard_s), hard_s,
                     hi_s, TimeSource::anchor, now);
}

}  // namespace taper::authority
