// What befalls a host: its clocks, its power, its disk, and those who put old files back.
#include <algorithm>

#include "crypto/crypto.h"
#include "tests/sim/history.h"

namespace taper::sim {
namespace {

constexpr std::int64_t kYearS = 365 * 86'400;

std::int64_t step_s(Dice& dice) {
  const std::int64_t size = dice.percent(40)   ? dice.roll(1, 600)
                            : dice.percent(50) ? dice.roll(600, 3 * 86'400)
                                               : dice.roll(86'400, 20 * kYearS);
  return dice.percent(50) ? size : -size;
}

}  // namespace

void History::step_clock(Watched& w) {
  if (!right_clock(w) && dice_.percent(60)) {
    tell("clock set right");
    return set_wall(w, true_s());
  }
  fault("clock_step");
  if (dice_.percent(35) && !centre_.issued().empty()) return suit_clock(w);
  const std::int64_t by = step_s(dice_);
  tell("clock stepped by " + std::to_string(by) + " s");
  set_wall(w, std::max<std::int64_t>(0, w.host.now().wall_s + by));
}

void History::set_wall(Watched& w, std::int64_t wall_s) {
  w.host.set_wall(wall_s);
  w.ahead = w.ahead || is_ahead(w);
}

// To where an old capsule is in its window, which then comes again.
void History::suit_clock(Watched& w) {
  const std::size_t capsule = dice_.below(centre_.issued().size());
  const capsules::Capsule& said = centre_.issued()[capsule].said;
  set_wall(w, said.not_before_s + dice_.roll(0, said.not_after_s - said.not_before_s));
  tell("clock set to suit an old capsule");
  fault("replayed_capsule");
  give_chain(w, capsule, 0);
}

// The lid is shut: nothing runs, the boot clock goes on. Who calls first afterwards is faster than
// the owner's timers.
void History::suspend(Watched& w) {
  fault("suspend");
  tell("suspend");
  advance(dice_.percent(60) ? dice_.roll(1'000, 600'000) : dice_.roll(600'000, 2 * 86'400'000), &w);
  call(w);
}

void History::go_down(Watched& w) {
  const std::int64_t how = dice_.roll(0, 99);
  if (how < 25) {
    tell("restart");
    w.host.stop();
  } else if (how < 50) {
    fault("kill");
    tell("kill -9");
    w.host.kill();
  } else if (how < 70) {
    fault("reboot");
    tell("reboot");
    w.host.shut_down();
  } else {
    fault("power_cut");
    fault("unsynced_dropped", w.host.cut_power());
    tell("power cut");
  }
  if (dice_.percent(30)) advance(dice_.roll(1'000, 900'000));
  if (dice_.percent(60)) bring_up(w);
}

void History::trouble_disk(Watched& w) {
  Trouble& trouble = w.host.trouble;
  if (!trouble.quiet()) {
    count_trouble(w);
    trouble = Trouble{};
    return tell("disk mended");
  }
  const std::int64_t how = dice_.roll(0, 99);
  if (how < 40) {
    trouble.kill_in = dice_.roll(1, 40);
  } else if (how < 75) {
    trouble.fail_in = dice_.roll(1, 20);
    trouble.fail_count = dice_.roll(1, 4);
  } else {
    trouble.space = dice_.percent(50) ? Trouble::Space::reserve_alone : Trouble::Space::none;
  }
  tell("disk trouble");
}

void History::count_trouble(Watched& w) {
  Trouble& trouble = w.host.trouble;
  // Also where nobody was told, as of a refusal that could not be counted in the log.
  w.suspect = w.suspect || trouble.errors > 0;
  fault("kill", std::exchange(trouble.kills, 0));
  fault("eio", std::exchange(trouble.errors, 0));
  fault("enospc", std::exchange(trouble.full, 0));
}

// What the disk said came up to whoever asked: nothing was allowed. An owner starts anew.
bool History::storage_error(Watched& w, const Error& error) {
  switch (error.code()) {
    case Code::store_failure:
    case Code::commit_unknown:
    case Code::state_locked:
    case Code::store_full: break;
    default: return false;
  }
  w.suspect = true;
  if (dice_.percent(50)) return true;
  tell("owner stops: " + to_line(error));
  w.host.kill();
  return true;
}

void History::roll_back(Watched& w) {
  if (!w.snapshot || dice_.percent(30)) {
    const Result<Bytes> log = w.host.export_log();
    const auto known = log.ok() ? store::verify_log(*log, trust(w, *log)) : Error(log.error());
    if (!known.ok()) return;
    w.snapshot = w.host.snapshot();
    w.snapshot->records = known->records;
    return tell("snapshot");
  }
  if (w.host.up()) w.host.kill();
  dice_.percent(50) ? roll_back_image(w) : roll_back_directory(w);
}

// data.mdb alone, from yesterday: the marker beside it knows better.
void History::roll_back_image(Watched& w) {
  if (!w.host.powered() || w.snapshot->commit >= w.host.marked_commit()) return;
  fault("rollback_image");
  tell("old data.mdb put back");
  const std::shared_ptr<Image> right = w.host.image();
  w.host.put_back(*w.snapshot, true);
  w.host.trouble = Trouble{};
  const Status started = w.host.start();
  check(Invariant::i2, started.code() == Code::store_rolled_back, "an old data.mdb was taken up",
        Row::replayed);
  if (w.host.up() || dice_.percent(30)) {
    w.host.kill();
    return renew(w);
  }
  disk().image(w.host.directory()) = right;
}

// The whole directory: here only the centre's memory knows. It asks for the log before anything
// else is done, and the host is enrolled anew.
void History::roll_back_directory(Watched& w) {
  if (w.witnessed <= w.snapshot->records) return;
  fault("rollback_directory");
  tell("old directory put back");
  w.host.put_back(*w.snapshot, false);
  const Result<Bytes> log = w.host.export_log();
  const auto told = log.ok() ? store::verify_log(*log, trust(w, *log)) : Error(log.error());
  check(Invariant::i2, !told.ok() || told->records < w.witnessed,
        "the centre does not see that a whole directory was put back", Row::replayed);
  renew(w);
}

// Enrolled anew: another incarnation, for which nothing old was signed.
void History::renew(Watched& w) {
  tell("new incarnation");
  w.host.stop();
  w.host.trouble = Trouble{};
  w.host.renew();
  w.tasks.clear();
  w.used.clear();
  w.snapshot.reset();
  w.decisions.clear();
  w.archived.clear();
  w.witnessed = w.root_version = 0;
  w.floor_ms = w.floor_kept_ms = 0;
  w.anchored_boot_ms.reset();
  w.ahead = false;
  w.asked.clear();
  w.metered_ms = w.persisted_ms = 0;
}

// Everything that a person can mend is mended.
void History::repair(Watched& w) {
  tell("repair");
  count_trouble(w);
  w.host.trouble = Trouble{};
  if (w.host.up()) w.host.stop();
  bring_up(w);
  w.host.set_wall(true_s());
  if (!w.host.up()) {
    renew(w);
    bring_up(w);
  }
  centre_.publish(true_s(), false);
  while (w.host.up() && w.root_version < centre_.version()) {
    const std::uint64_t next = w.root_version + 1;
    const Status imported =
        w.host.authority().import_root(centre_.roots()[next - 1], std::nullopt, w.host.now());
    check(Invariant::i5, imported.ok(), "a root cannot be imported on a host that is well");
    if (!imported.ok()) return;
    w.root_version = next;
    w.floor_ms = std::max(w.floor_ms, centre_.issued_s(next) * 1000);
  }
  // And what the wall clock once showed is replaced by an answer.
  if (w.host.up())
    check(Invariant::i5, set_by_answer(w), "an answer is refused by a host that is well");
}

}  // namespace taper::sim
