#include "runtime/authority/time_report.h"

#include "runtime/authority/records.h"
#include "runtime/base/text.h"

namespace taper::authority {
namespace {

std::string apart(std::int64_t a, std::int64_t b) {
  const std::int64_t s = std::min(saturating_subtract(std::max(a, b), std::min(a, b)),
                                  limits::kTimeMaxS);  // so that milliseconds do not overflow
  return format_duration_ms(s * 1000);
}

}  // namespace

std::string_view time_standing_name(TimeAssurance standing) {
  switch (standing) {
    case TimeAssurance::anchored: return "anchored";
    case TimeAssurance::bounded: return "bounded";
    case TimeAssurance::behind:
    case TimeAssurance::unset: break;
  }
  return "behind";
}

std::string_view time_source_name(TimeSource source) {
  switch (source) {
    case TimeSource::none: break;
    case TimeSource::wall: return "the wall clock";
    case TimeSource::signed_bound: return "signed time, carried on by the boot clock";
    case TimeSource::earlier_boots: return "the wall clock of an earlier boot";
    case TimeSource::capsule: return "the capsule's own date of issue";
    case TimeSource::anchor: return "the signed answer to this boot's challenge";
  }
  return "nothing";
}

std::string told_time(std::int64_t s, TimeSource source) {
  return format_utc_s(s) + " by " + std::string(time_source_name(source));
}

Error time_denial(Code code, std::string field, std::string bound, std::int64_t bound_s,
                  std::int64_t time_s, TimeSource source, const Now& now) {
  std::string got = told_time(time_s, source) + ", " + apart(time_s, bound_s) +
                    (time_s < bound_s ? " before" : " after");
  if (source != TimeSource::wall)
    got += "; " + told_time(now.wall_s, TimeSource::wall) + ", " + apart(time_s, now.wall_s) +
           " away from it";
  return Error(code, {std::move(field), std::move(bound), std::move(got), ""});
}

TimeReport time_report(const TimeState& state, const Now& now) {
  const TimeState at = carry(state, now);
  TimeReport report{estimate(at, 0, now), now.wall_s, {}, at.hard_ms / 1000};
  if (at.anchor) report.anchor_age_ms = saturating_subtract(now.boot_ms, at.anchor->boot_ms);
  return report;
}

Result<TimeReport> time_report(const store::Store& store, const Now& now) {
  TimeState state;
  TAPER_CHECK(store.read([&state](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(state, read_time(txn));
    return success();
  }));
  return time_report(state, now);
}

}  // namespace taper::authority
