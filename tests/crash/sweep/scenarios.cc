#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/owned_state.h"
#include "store/audit_verify.h"
#include "store/store.h"
#include "tests/crash/sweep/scenario.h"

namespace taper::crash {
namespace {

constexpr std::int64_t kLongMs = 3'600'000;
constexpr int kHungUpMs = 30;

Status run_capsule(World& world, const std::string& capsule) {
  const Result<broker::RunReport> report = broker::run(world.options(capsule));
  return report.ok() ? success() : Status(report.error());
}

Status run_sample(World& world) { return run_capsule(world, world.capsule()); }

// Whether a process has a handler for SIGTERM: one that is on its way out has none any more, and
// would die of it before it has closed what it owns.
bool takes_sigterm(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigCgt:")) continue;
    return (std::stoull(line.substr(line.find('\t') + 1), nullptr, 16) >> (SIGTERM - 1U) & 1U) != 0;
  }
  return false;
}

// Asks the daemon for the run, then stops it.
int ask_for_run(World& world, pid_t daemon, const Fd& heard) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  static fault_plan none;  // nothing of what it does itself is broken
  std::snprintf(none.tree, sizeof(none.tree), "%s", "/nowhere");
  fault_arm(&none);
  char byte = 0;
  if (::read(heard.get(), &byte, 1) != 1) return 1;
  const Status run = run_sample(world);
  // One that hung up may be about to take its handlers away.
  if (!run.ok()) ::poll(nullptr, 0, kHungUpMs);
  if (takes_sigterm(daemon)) ::kill(daemon, SIGTERM);
  return run.ok() ? 0 : 1;
}

// The run as a daemon makes it: what breaks is the daemon.
Status serve_sample(World& world) {
  std::array<int, 2> ready{};
  TAPER_ASSERT(::pipe2(ready.data(), O_CLOEXEC) == 0);
  const Fd heard(ready[0]);
  Fd tells(ready[1]);
  const pid_t daemon = ::getpid();
  const pid_t asker = ::fork();  // a place, too
  if (asker < 0) return os_error("fork", errno);
  if (asker == 0) {
    tells.reset();
    ::_exit(ask_for_run(world, daemon, heard));
  }
  Status served = broker::serve(
      {.state = world.state(), .on_ready = [&] { (void)::write(tells.get(), "", 1); }});
  ::kill(asker, SIGKILL);
  ::waitpid(asker, nullptr, 0);
  return served;
}

// An operator stops the run from outside while it is under way.
Status stop_sample(World& world) {
  broker::RunOptions options = world.options(world.capsule());
  options.on_step = [&world, note = options.on_step](const broker::StepReport& report) {
    note(report);
    if (world.shared().reported == kStopAfter) ::raise(SIGTERM);
  };
  const Result<broker::RunReport> report = broker::run(options);
  return report.ok() ? success() : Status(report.error());
}

Status cancel_task(World& world) {
  TAPER_TRY(const auto tasks, broker::task_list(world.state()));
  for (const authority::TaskView& task : tasks)
    if (!authority::is_terminal(task.state))
      TAPER_CHECK(broker::task_cancel(world.state(), task.task));
  return success();
}

// The centre orders the end of each task, also of one that is over.
Status obey_order(World& world) {
  TAPER_TRY(const auto tasks, broker::task_list(world.state()));
  for (const authority::TaskView& task : tasks)
    TAPER_CHECK(broker::import_order(world.state(), world.node().order(task.task)));
  return success();
}

// The helper's chain: the same plan, a budget and a label of its own.
void narrow_sample(World& world) {
  capsules::Capsule capsule = sample_plan(world.node());
  capsule.max_depth = 1;
  world.use(capsule);
  capsules::Block block;
  block.grants = {{"mine", "file.append", {}, {}}, {"look", "file.read", {}, {}}};
  block.grants[0].budget.calls = kWrites;
  block.grants[0].labels = {"helped"};
  (void)world.node().narrow(world.capsule(), block);
}

Status run_helper(World& world) {
  broker::RunOptions options = world.node().narrowed_options(world.capsule() + ".narrowed");
  options.on_step = world.options(world.capsule()).on_step;
  const Result<broker::RunReport> report = broker::run(options);
  return report.ok() ? success() : Status(report.error());
}

// A run that dies half way: its task waits for the next one.
void break_off(World& world) {
  world.shared().plan.kind = fault_none;
  world.shared().plan.at = 0;
  world.run([&world] { return run_sample(world); });
  const std::uint64_t half = world.shared().plan.count / 2;
  world.put_back();
  world.shared().plan.kind = fault_kill;
  world.shared().plan.at = half;
  world.run([&world] { return run_sample(world); });
}

void narrow_and_break_off(World& world) {
  narrow_sample(world);
  break_off(world);
}

// Stands one commit before the log's key is replaced, as far as a run's commits go.
void fill_epoch(World& world) {
  const auto store = store::open_state({.directory = world.state(),
                                        .origin = authority::log_origin(world.node().record()),
                                        .read_only = false});
  TAPER_ASSERT(store.ok());
  for (std::uint32_t i = 0; i + 12 < limits::kLogKeyCommits; ++i) {
    const auto written = store.value()->write([](store::WriteTxn& txn) -> Status {
      TAPER_CHECK(txn.append(store::LeafType::refusals, "{}"));
      return success();
    });
    TAPER_ASSERT(written.ok());
  }
}

// Another capsule under the serial of the one that ran, beside it: both have one name when signed.
void run_and_make_twin(World& world) {
  world.shared().plan.at = 0;
  world.run([&world] { return run_sample(world); });
  const auto first = read_file(world.capsule(), limits::kCapsuleBytesMax);
  capsules::Capsule twin = sample_plan(world.node());
  twin.serial = 1;
  twin.purpose = "another";
  const std::string path = world.node().sign(twin);
  TAPER_ASSERT(path == world.capsule());
  TAPER_ASSERT(::rename(path.c_str(), (path + ".twin").c_str()) == 0);
  TAPER_ASSERT(first.ok() && create_file(path, *first, 0644).ok());
}

Status refuse_two(World& world) {
  const Status spent = run_sample(world);
  if (spent.code() != Code::activations_spent) return Error(Code::internal);
  const Status twin = run_capsule(world, world.capsule() + ".twin");
  return twin.code() == Code::serial_reused ? success() : Status(Error(Code::internal));
}

// One append for each item, and a read that fails and is tried again.
void use_items(World& world) {
  capsules::Capsule capsule = sample_plan(world.node());
  for (capsules::Grant& grant : capsule.grants) grant.verbs.push_back(capsules::Verb::retry);
  capsules::Step items = testing::plan_step(
      "w", "file.append", R"({"content":{"$item":true},"path":")" + world.effects_file() + "\"}",
      {}, capsules::OnError::carry_on);
  items.for_each = "[";
  for (int i = 0; i < kWrites; ++i)
    items.for_each += (i == 0 ? "" : ",") + ("\"w[" + std::to_string(i)) + "]\\n\"";
  items.for_each += "]";
  items.for_each_max = kWrites;
  capsules::Step late =
      testing::plan_step("late", "file.read", R"({"path":")" + world.node().data() + "/late\"}", {},
                         capsules::OnError::retry);
  late.retries = kRetries;
  late.backoff_ms = 1;
  capsule.plan.steps = {items, late};
  world.use(capsule);
}

// What the event loop does every so often while a task runs, and when the clock was set; a
// challenge, and its answer; and what a renewal hands on.
Status keep_time(World& world) {
  const SystemClock clock;
  TAPER_TRY(const broker::OwnedState owned, broker::own_state(world.state(), "", clock.now()));
  TAPER_CHECK(owned.authority->persist_time(clock.now()));
  Now stepped = clock.now();
  stepped.wall_s += limits::kClockStepToleranceS + 1;
  TAPER_CHECK(owned.authority->note_clock(stepped));
  TAPER_TRY(const Bytes challenge, owned.authority->time_challenge(clock.now()));
  TAPER_CHECK(owned.authority->import_time(world.node().answer(challenge), clock.now()));
  TAPER_CHECK(owned.authority->inherit_time(1, clock.now()));
  return owned.store->sync_marker();
}

// A task that a new root no longer lists ends with its import.
Status hand_over(World& world) {
  TAPER_TRY(const Bytes file, read_file(world.node().folder() + "/root-2", limits::kRootBytesMax));
  TAPER_CHECK(broker::import_root(world.state(), file, {}));
  return success();
}

// What was only ending is ended by the next start.
Status hand_over_and_start(World& world) {
  TAPER_CHECK(hand_over(world));
  return hand_over(world);
}

void break_off_before_root(World& world) {
  break_off(world);
  const Status written =
      create_file(world.node().folder() + "/root-2", world.node().next_root_file(), 0644);
  TAPER_ASSERT(written.ok());
}

const crypto::SigningKey& reader() {
  static const crypto::SigningKey key = crypto::SigningKey::generate();
  return key;
}

// A whole run whose results stay.
void keep_results(World& world, std::int64_t retention_ms) {
  capsules::Capsule capsule = sample_plan(world.node());
  capsule.result = {{Hash{crypto::key_id(reader().public_key()).bytes}}, retention_ms, kReads};
  world.use(capsule);
  world.shared().plan.kind = fault_none;
  world.shared().plan.at = 0;
  world.run([&world] { return run_sample(world); });
}

Result<broker::TaskResult> ask(const World& world, const std::string& step) {
  TAPER_TRY(const auto tasks, broker::task_list(world.state()));
  TAPER_ASSERT(tasks.size() == 1);
  TAPER_TRY(broker::TaskResult result,
            broker::task_result({.state = world.state(),
                                 .task = tasks[0].task,
                                 .step = step,
                                 .reader = reader().public_key(),
                                 .prove = [](ByteSpan statement) {
                                   return reader().sign(crypto::statement::kResultRead, statement);
                                 }}));
  TAPER_CHECK(broker::erase_read_result(world.state(), tasks[0].task, result));
  return result;
}

// Every read that there is of one result; how many came is noted.
Status read_all(World& world) {
  for (;;) {
    const Result<broker::TaskResult> result = ask(world, kRead);
    if (result.code() == Code::result_refused) return success();
    if (!result.ok()) return result.error();
    ++world.shared().reported;
  }
}

Status read_all_and_another(World& world) {
  TAPER_CHECK(read_all(world));
  TAPER_CHECK(ask(world, kOtherRead));
  return success();
}

std::string release_file(const World& world, const char* name) {
  return world.archive_file() + name;
}

// A whole run, archived; a release of it, and one of a log that it is not.
void archive_run(World& world) {
  world.shared().plan.kind = fault_none;
  world.shared().plan.at = 0;
  world.run([&world] { return run_sample(world); });
  const auto log = broker::audit_export(world.state(), std::nullopt);
  const authority::NodeRecord& record = world.node().record();
  const auto seen = store::verify_log(
      *log,
      {.node = record.sign, .incarnation = record.incarnation, .log_key_0 = record.log_key_0});
  TreeHash other = seen->root;
  other.bytes[0] ^= 1U;
  const auto keep = [](const std::string& path, ByteSpan bytes) {
    const Status written = create_file(path, bytes, 0644);
    TAPER_ASSERT(written.ok());
  };
  keep(world.archive_file(), *log);
  keep(release_file(world, "good"), world.node().release(seen->records, seen->root));
  keep(release_file(world, "forked"), world.node().release(seen->records, other));
}

Result<store::LogFloor> import_release(const World& world, const char* name) {
  TAPER_TRY(const Bytes file, read_file(release_file(world, name), limits::kReleaseBytesMax));
  return broker::import_release(world.state(), file);
}

Status release_log(World& world) {
  const auto forked = import_release(world, "forked");
  if (forked.code() != Code::release_mismatch)
    return forked.ok() ? Status(Error(Code::internal)) : Status(forked.error());
  TAPER_TRY(const store::LogFloor floor, import_release(world, "good"));
  TAPER_ASSERT(floor.released > 0 && floor.kept == floor.released);
  return success();
}

Status be_born(World& world) {
  TAPER_CHECK(broker::node_init(world.state(), "test node"));
  TAPER_CHECK(broker::import_root(world.state(), world.node().root_file(), {}));
  return success();
}

Status import_again(World& world) {
  TAPER_CHECK(broker::import_root(world.state(), world.node().root_file(), {}));
  return success();
}

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = {
      {"plan", [](World&) {}, run_sample, run_sample},
      {"served", [](World&) {}, serve_sample, run_sample},
      {"stop", [](World&) {}, stop_sample, run_sample},
      {"again", break_off, run_sample, run_sample},
      {"join", narrow_and_break_off, run_helper, run_sample},
      {"cancel", break_off, cancel_task, cancel_task},
      {"order", break_off, obey_order, obey_order},
      {"epoch", fill_epoch, run_sample, run_sample},
      {"refused", run_and_make_twin, refuse_two, refuse_two},
      {"birth", [](World& world) { world.forget_state(); }, be_born, import_again, Examined::birth},
      {"items", use_items, run_sample, run_sample},
      {"asking", use_handles, ask_about_calls, ask_about_calls},
      {"waiting", park_call, answer_call, answer_call},
      {"agent", use_program, run_program, run_program},
      {"clock", break_off, keep_time, run_sample},
      {"handover", break_off_before_root, hand_over, hand_over_and_start, Examined::task,
       Code::signer_unknown},
      {"release", archive_run, release_log, release_log},
      {"reading", [](World& world) { keep_results(world, kLongMs); }, read_all,
       read_all_and_another, Examined::reading},
      {"forgetting", [](World& world) { keep_results(world, 1); }, import_again, import_again,
       Examined::forgetting},
  };
  return all;
}

void prepare(World& world, const Scenario& scenario) {
  scenario.prepare(world);
  if (scenario.examined != Examined::birth) world.remember();
}

bool run_whole(World& world, const Scenario& scenario) {
  world.put_back();
  world.shared().plan.kind = fault_none;
  world.shared().plan.at = 0;
  world.shared().plan.child_at = 0;
  const Ended ended = world.run([&] { return scenario.act(world); });
  if (ended.status == 0 && !ended.left) return true;
  std::printf("FAILED %s: the whole run ended with %d: %s\n", scenario.name.c_str(), ended.status,
              world.shared().error);
  return false;
}

}  // namespace taper::crash
