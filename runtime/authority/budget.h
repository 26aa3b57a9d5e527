// Budgets as numbers: what is spent, what a call takes, what it gives back. Pure; nothing wraps and
// nothing refills but a rate's bucket, by boot-clock time that is known to have passed.
#pragma once

#include <cstdint>
#include <optional>

#include "capsules/capsule.h"
#include "runtime/base/clock.h"

namespace taper::authority {

// What of a grant's budget is spent. Never falls, but for the unused part of one call's
// reservation, a rate's debt, and calls that never ran.
struct Spent {
  std::uint64_t calls = 0;
  std::uint64_t bytes = 0;
  std::uint64_t cpu_ms = 0;
  std::uint64_t sum = 0;
  // What a rate's bucket lacks to be full when `rate_at`: a call adds the rate's `per_ms`, each
  // millisecond takes its `count` off.
  std::uint64_t rate_debt = 0;
  Now rate_at;
};

// What one call takes beforehand. Bytes and time are settled by what it used.
struct Charge {
  std::uint64_t bytes = 0;
  std::uint64_t cpu_ms = 0;
  std::uint64_t sum = 0;
};

// What is left of each bound; empty where the budget names none.
struct BudgetLeft {
  std::optional<std::int64_t> calls, rate, bytes, cpu_ms, sum;
};
BudgetLeft budget_left(const capsules::Budget& budget, const Spent& spent, const Now& now);

Spent charged(const capsules::Budget& budget, Spent spent, const Charge& charge, const Now& now);

// After the outcome. Empty: not known, so the reservation stays spent. More time than was reserved
// is spent too: the cap is each process's, the figure the whole cell's.
Spent settled(Spent spent, const Charge& charge, std::optional<std::uint64_t> bytes,
              std::optional<std::uint64_t> cpu_ms);

// Of a call that never ran: the call and its sum go back. A rate's bucket keeps it, so that asking
// again and again takes as long as calling does.
Spent given_back(Spent spent, const Charge& charge);

// Time that passed in another boot is not known: the debt stands as it was, and counts on from now.
void carry_rate(Spent& spent, const Now& now);

}  // namespace taper::authority
