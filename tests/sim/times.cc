// Time that was signed, as it comes to a host: answers to its challenges, others', old ones.
#include <algorithm>

#include "tests/sim/history.h"

namespace taper::sim {
namespace {

constexpr std::int64_t kRadiusMostS = 30;
constexpr std::int64_t kPromptS = 300;

}  // namespace

void History::ask_time(Watched& w) {
  Result<Bytes> file;
  if (!w.host.run(
          [&](authority::Authority& authority) { file = authority.time_challenge(w.host.now()); }))
    return;
  if (!file.ok()) return void(storage_error(w, file.error()));
  const auto challenge = capsules::decode_time_challenge(*file);
  TAPER_ASSERT(challenge.ok());
  w.asked.push_back({*challenge, true_s()});
}

// True: it was taken in.
bool History::import_time(Watched& w, const Told& told) {
  const Now now = w.host.now();
  const bool mine = told.answers && told.answers->node == w.host.address().node &&
                    told.answers->incarnation == w.host.address().incarnation &&
                    told.answers->boot == now.boot_id;
  const auto asked = std::ranges::find_if(w.asked, [&](const Asked& one) {
    return mine && one.challenge.nonce == told.answers->nonce;
  });
  const bool open = asked != w.asked.end();
  const std::int64_t asked_s = open ? asked->true_s : 0;
  Status taken = success();
  const bool lives = w.host.run(
      [&](authority::Authority& authority) { taken = authority.import_time(told.file, now); });
  tell("time " + format_utc_s(told.least_s) + (told.answers ? " answered: " : ": ") +
       (taken.ok() ? "ok" : to_line(taken.error())));
  const bool unsure = !lives || (!taken.ok() && storage_error(w, taken.error()));
  if (told.answers && !open && lives)
    check(Invariant::i2, !taken.ok(), "an answer counted that was not for it, or twice",
          Row::replayed);
  if (open && !unsure) w.asked.erase(asked);  // else it may count yet, or have counted
  if (open && (unsure || taken.ok())) w.anchored_boot_ms = now.boot_ms;
  if (open && unsure) w.ahead = true;
  if (unsure || !taken.ok()) return false;
  if (open) w.ahead = is_ahead(w) || true_s() - asked_s > kPromptS;
  w.floor_ms = std::max(w.floor_ms, told.least_s * 1000);
  w.floor_kept_ms = std::max(w.floor_kept_ms, told.least_s * 1000);
  return true;
}

bool History::set_by_answer(Watched& w) {
  ask_time(w);
  if (!w.host.up() || w.asked.empty()) return false;
  const capsules::TimeChallenge challenge = w.asked.back().challenge;
  return import_time(w, Told(centre_.tell_time(true_s(), 1, challenge)));
}

void History::give_time(Watched& w) {
  if (w.root_version == 0) return give_root(w);
  const std::int64_t how = dice_.roll(0, 99);
  const std::int64_t radius_s = dice_.roll(0, kRadiusMostS);
  if (how < 30) return ask_time(w);
  if (how < 50) {
    // By hand, to be brought now or later, to it or to another.
    const Watched& asks = any();
    if (asks.asked.empty()) return ask_time(w);
    const capsules::TimeChallenge challenge = dice_.of(asks.asked).challenge;
    const Told told = centre_.tell_time(true_s(), radius_s, challenge);
    if (dice_.percent(70)) import_time(w, told);
    return;
  }
  if (how < 70 || centre_.times().empty()) {
    import_time(w, Told(centre_.tell_time(true_s(), radius_s, std::nullopt)));
    return;
  }
  fault("replayed_time");
  import_time(w, Told(dice_.of(centre_.times())));
}

}  // namespace taper::sim
