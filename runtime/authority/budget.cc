#include "runtime/authority/budget.h"

#include <algorithm>
#include <limits>

#include "runtime/authority/time.h"
#include "runtime/base/limits.h"

namespace taper::authority {
namespace {

std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::uint64_t>::max() : sum;
}

std::optional<std::int64_t> left(const std::optional<std::int64_t>& most, std::uint64_t spent) {
  if (!most) return std::nullopt;
  const auto limit = static_cast<std::uint64_t>(std::max<std::int64_t>(0, *most));
  return static_cast<std::int64_t>(limit - std::min(limit, spent));
}

// No product overflows: count and per_ms are bounded where a capsule is decoded.
static_assert(limits::kRateCountMax <=
              std::numeric_limits<std::int64_t>::max() / limits::kLeaseTtlMaxMs);

std::uint64_t rate_debt(const capsules::Rate& rate, const Spent& spent, const Now& now) {
  if (spent.rate_at.boot_id != now.boot_id) return spent.rate_debt;
  const std::int64_t passed = std::min(elapsed_ms(spent.rate_at, now), rate.per_ms);
  const auto paid = static_cast<std::uint64_t>(passed * rate.count);
  return spent.rate_debt - std::min(spent.rate_debt, paid);
}

std::int64_t rate_left(const capsules::Rate& rate, const Spent& spent, const Now& now) {
  const auto full = static_cast<std::uint64_t>(rate.count * rate.per_ms);
  const std::uint64_t debt = std::min(full, rate_debt(rate, spent, now));
  return static_cast<std::int64_t>(full - debt) / rate.per_ms;
}

}  // namespace

BudgetLeft budget_left(const capsules::Budget& budget, const Spent& spent, const Now& now) {
  BudgetLeft out;
  out.calls = left(budget.calls, spent.calls);
  if (budget.rate) out.rate = rate_left(*budget.rate, spent, now);
  out.bytes = left(budget.bytes, spent.bytes);
  out.cpu_ms = left(budget.cpu_ms, spent.cpu_ms);
  if (budget.sum) out.sum = left(budget.sum->most, spent.sum);
  return out;
}

Spent charged(const capsules::Budget& budget, Spent spent, const Charge& charge, const Now& now) {
  spent.calls = saturating_sum(spent.calls, 1);
  spent.bytes = saturating_sum(spent.bytes, charge.bytes);
  spent.cpu_ms = saturating_sum(spent.cpu_ms, charge.cpu_ms);
  spent.sum = saturating_sum(spent.sum, charge.sum);
  if (!budget.rate) return spent;
  spent.rate_debt = saturating_sum(rate_debt(*budget.rate, spent, now),
                                   static_cast<std::uint64_t>(budget.rate->per_ms));
  // A clock that reads less than before must not be counted on from there.
  const bool later = spent.rate_at.boot_id != now.boot_id || now.boot_ms > spent.rate_at.boot_ms;
  if (later) spent.rate_at = now;
  return spent;
}

Spent settled(Spent spent, const Charge& charge, std::optional<std::uint64_t> bytes,
              std::optional<std::uint64_t> cpu_ms) {
  spent.bytes -= charge.bytes - std::min(bytes.value_or(charge.bytes), charge.bytes);
  spent.cpu_ms = saturating_sum(spent.cpu_ms - charge.cpu_ms, cpu_ms.value_or(charge.cpu_ms));
  return spent;
}

Spent given_back(Spent spent, const Charge& charge) {
  spent.calls -= std::min<std::uint64_t>(spent.calls, 1);
  spent.sum -= std::min(spent.sum, charge.sum);
  return spent;
}

void carry_rate(Spent& spent, const Now& now) {
  if (spent.rate_at.boot_id != now.boot_id) spent.rate_at = now;
}

}  // namespace taper::authority
