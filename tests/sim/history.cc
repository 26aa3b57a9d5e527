#include "tests/sim/history.h"

#include <algorithm>
#include <filesystem>

#include "runtime/base/limits.h"

namespace taper::sim {
namespace {

constexpr std::int64_t kBeginS = 1'790'000'000;
constexpr std::uint64_t kOperations = 220;
constexpr std::size_t kKindsLeast = 5;
constexpr std::uint64_t kOperationsMost = 600;
constexpr int kStepsMost = 400;

}  // namespace

History::History(std::uint64_t seed, std::string folder, Report& report, Options options)
    : seed_(seed),
      report_(report),
      options_(options),
      dice_(seed),
      true_ms_(kBeginS * 1000),
      centre_(kBeginS),
      tools_(authority::builtin_tools()) {
  disk().forget();
  disk().dice = &dice_;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  const std::size_t count = dice_.percent(50) ? 2 : 3;
  for (std::size_t i = 0; i < count; ++i) hosts_.emplace_back(folder, i, dice_, true_s());
}

void History::run() {
  advance(3'600'000);
  for (Watched& w : hosts_) {
    bring_up(w);
    give_root(w);
  }
  while (number_ < kOperations || (kinds_.size() < kKindsLeast && number_ < kOperationsMost)) {
    ++number_;
    operate();
  }
  ++number_;
  bool bricked = false;
  for (Watched& w : hosts_) {
    repair(w);
    bricked = (w.host.up() ? !fresh(w, Invariant::i5) : true) || bricked;
    witness(w);
  }
  report_.operations += number_;
  report_.bricked += bricked ? 1 : 0;
  for (std::size_t row = 0; row < kRows; ++row) report_.rows[row] += rows_[row] ? 1 : 0;
}

void History::operate() {
  if (dice_.percent(15))
    advance(dice_.percent(80) ? dice_.roll(50, 20'000) : dice_.roll(20'000, 600'000));
  if (dice_.percent(1)) advance(dice_.roll(600'000, 3 * 86'400'000));
  if (dice_.percent(3)) publish();
  Watched& w = any();
  tell("host " + std::to_string(w.number) + ", signed time " + format_utc_s(w.floor_ms / 1000));
  one_of_many(w);
  count_trouble(w);
}

void History::one_of_many(Watched& w) {
  if (!w.host.up()) return dice_.percent(70) ? bring_up(w) : roll_back(w);
  struct Choice {
    std::int64_t share;
    void (History::*act)(Watched&);
  };
  static constexpr std::array<Choice, 18> kChoices = {{{30, &History::call},
                                                       {10, &History::settle},
                                                       {10, &History::give_capsule},
                                                       {5, &History::give_old_capsule},
                                                       {8, &History::attach},
                                                       {6, &History::join},
                                                       {2, &History::replay_proof},
                                                       {9, &History::give_root},
                                                       {5, &History::end},
                                                       {5, &History::step_clock},
                                                       {3, &History::suspend},
                                                       {6, &History::go_down},
                                                       {5, &History::trouble_disk},
                                                       {2, &History::roll_back},
                                                       {2, &History::witness},
                                                       {2, &History::duties},
                                                       {6, &History::give_time},
                                                       {2, &History::give_order}}};
  std::int64_t all = 0;
  for (const Choice& choice : kChoices) all += choice.share;
  if (healthy(w) && dice_.percent(4)) {
    fresh(w, Invariant::i5);
    return;
  }
  std::int64_t at = dice_.roll(0, all - 1);
  for (const Choice& choice : kChoices) {
    at -= choice.share;
    if (at < 0) return (this->*choice.act)(w);
  }
}

// Time passes for all; every owner does what is due, but one that sleeps.
void History::advance(std::int64_t ms, const Watched* asleep) {
  const auto busy = [&](Watched& w) {
    return &w != asleep && w.host.up() && !w.host.authority().live_tasks().empty();
  };
  for (int steps = 0; ms > 0; ++steps) {
    // After long the rest passes as if all were asleep.
    const bool any_busy = steps < kStepsMost && std::ranges::any_of(hosts_, busy);
    const std::int64_t step = any_busy ? std::min(ms, limits::kPersistIntervalMs) : ms;
    ms -= step;
    true_ms_ += step;
    for (Watched& w : hosts_) {
      w.host.pass(step);
      w.ahead = w.ahead || is_ahead(w);
      if (!w.host.powered() || !w.served) continue;
      w.metered_ms += step;
      w.floor_ms += step - step / 1000 - 1;
    }
    for (Watched& w : hosts_)
      if (busy(w)) duties(w);
  }
}

// As the broker does: what is over ends, then the time is written down.
void History::duties(Watched& w) {
  for (const TaskId& task : w.host.authority().live_tasks()) {
    const authority::EndReason reason = w.host.authority().check_time(task, w.host.now());
    if (reason == authority::EndReason::none) continue;
    if (!w.tasks.contains(task)) continue;
    end_task(w, task, reason);
    if (!w.host.up()) return;
  }
  Status kept = success();
  if (!w.host.run(
          [&](authority::Authority& authority) { kept = authority.persist_time(w.host.now()); }))
    return;
  if (kept.ok()) {
    w.persisted_ms = w.metered_ms;
    return;
  }
  // An owner that cannot write ends.
  storage_error(w, kept.error());
  if (!w.host.up()) return;
  w.host.kill();
}

void History::bring_up(Watched& w) {
  if (!w.host.powered()) {
    w.host.power_on();
    w.served = false;
    w.anchored_boot_ms.reset();
    forget_unmetered(w);
    w.floor_ms = w.floor_kept_ms;
    w.floor_kept = false;
    if (dice_.percent(25)) {
      fault("dead_rtc");
      w.host.set_wall(dice_.percent(50) ? dice_.roll(0, 100'000) : kBeginS - 90 * 86'400);
    }
  }
  const Status started = w.host.start();
  tell("start: " + (started.ok() ? std::string("ok") : to_line(started.error())));
  if (started.ok()) return after_start(w);
  check(Invariant::i2, started.code() != Code::store_rolled_back,
        "a store that nobody put back is refused");
  // The disk is looked at before the next try.
  count_trouble(w);
  w.host.trouble = Trouble{};
}

// Between its last write and the cut a disk that failed may have hidden more than one interval.
void History::forget_unmetered(Watched& w) {
  const std::int64_t lost = w.metered_ms - w.persisted_ms - limits::kPersistIntervalMs;
  if (lost <= 0) return;
  for (auto& [task, known] : w.tasks) {
    known.from_ms = std::min(w.metered_ms, known.from_ms + lost);
    known.idle_from_ms = std::min(w.metered_ms, known.idle_from_ms + lost);
  }
  for (Issued& issued : centre_.issued()) {
    if (issued.node != w.number) continue;
    for (auto& [grant, times] : issued.times)
      for (std::int64_t& at : times) at = std::min(w.metered_ms, at + lost);
  }
}

void History::keep_floor(Watched& w) {
  w.floor_kept_ms = w.floor_ms;
  w.floor_kept = true;
}

void History::after_start(Watched& w) {
  w.served = true;
  w.suspect = false;
  w.persisted_ms = w.metered_ms;
  // What was carried on in this boot and never written down, is gone. A start that finds no task
  // writes nothing.
  if (!w.floor_kept) w.floor_ms = std::min(w.floor_ms, w.floor_kept_ms);
  if (std::ranges::any_of(w.tasks, [](const auto& entry) { return !entry.second.over; }))
    keep_floor(w);
  w.used.clear();
  const capsules::TrustRoot* root = w.host.authority().root();
  const std::uint64_t version = root == nullptr ? 0 : root->data().version;
  check(Invariant::i3, version >= w.root_version, "a restart brought an older root");
  w.root_version = version;
  const std::vector<TaskId> live = w.host.authority().live_tasks();
  for (auto& [task, known] : w.tasks) {
    if (!known.running.empty()) known.idle_from_ms = w.metered_ms;
    known.running.clear();
    known.attached.clear();
    const bool lives = std::ranges::find(live, task) != live.end();
    if (known.over) check(Invariant::i3, !lives, "a restart took up a task that had ended");
    known.over = !lives;
  }
  for (const TaskId& task : live) {
    if (w.tasks.contains(task)) continue;
    // Made by a process that was killed before it told anybody.
    const capsules::VerifiedCapsule* capsule = w.host.authority().capsule(task);
    for (std::size_t i = 0; capsule != nullptr && i < centre_.issued().size(); ++i) {
      Issued& issued = centre_.issued()[i];
      if (issued.id != capsule->id()) continue;
      ++issued.activations;
      check(Invariant::i2, issued.activations <= issued.said.activations,
            "more activations than the capsule has", Row::replayed);
      w.tasks[task] = {i, w.metered_ms, w.metered_ms, {}, {}, {}, false};
    }
  }
}

}  // namespace taper::sim
