// Deciding one call in memory: a task with ten grants, six mixed constraints on the one that
// matches, against a floor of the same six comparisons done by hand.
#include "runtime/authority/decide.h"
#include "tests/bench/rows.h"
#include "tests/bench/sample.h"

namespace taper::bench {
namespace {

constexpr const char* kRow = "decide one call in memory";
constexpr Now kNow{.boot_ms = 1'000'000, .wall_s = 1'795'000'000, .boot_id = {}};
constexpr std::string_view kArguments =
    R"({"path":"/var/log/plant-0/pump-07.log","max_bytes":65536,"offset":4096})";
constexpr std::string_view kRefused = R"({"path":"/etc/shadow","max_bytes":65536,"offset":4096})";

struct Task {
  Sample sample{kSomeNode, kSomeIncarnation, kNow.wall_s};
  authority::NodeFacts node = facts();
  authority::TimeState time{.hard_ms = kNow.wall_s * 1000, .at = kNow};
  authority::Tools tools = authority::builtin_tools();
  authority::LiveTask task = make();
  authority::CallRequest request{.task = task.id,
                                 .chain = task.capsule.chain(),
                                 .verb = capsules::Verb::call,
                                 .tool = "file.read",
                                 .arguments = {},
                                 .step = "read"};

  static authority::NodeFacts facts() {
    authority::NodeFacts made;
    made.tier = capsules::Tier::t2;
    return made;
  }

  authority::LiveTask make() {
    const auto root = capsules::open_root(sample.fleet.root_file);
    TAPER_ASSERT(root.ok());
    const auto capsule = capsules::open(sample.signed_file(1), *root);
    TAPER_ASSERT(capsule.ok());
    authority::TaskRecord record;
    record.state = authority::TaskState::active;
    record.ttl_ms = capsule->root().lease_ttl_ms;
    record.idle_ms = capsule->root().lease_idle_ms;
    record.not_after_s = capsule->root().not_after_s;
    record.end_on = capsule->root().end_on;
    record.seen = kNow;
    authority::LiveTask made({}, record, *capsule);
    authority::Branch branch(*capsule);
    const auto memory = store::open_memory({}, store::LogSeed::generate());
    const Status loaded = memory->read(
        [&](const store::ReadTxn& txn) { return authority::load_branch(txn, made, branch, kNow); });
    TAPER_ASSERT(loaded.ok() && authority::compile_profiles(branch, tools, {}).ok());
    made.attach(std::move(branch));
    return made;
  }
};

void bench_decide(benchmark::State& state, std::string_view tool, std::string_view text,
                  bool allowed) {
  Task live;
  live.request.tool = tool;
  const authority::Surroundings around{.node = live.node, .time = live.time, .news_s = kNow.wall_s};
  const auto arguments = capsules::parse_arguments(as_bytes(text));
  for (auto _ : state) {
    const authority::Ruling ruling =
        authority::decide(live.task, around, live.request, arguments, live.tools, kNow);
    if ((ruling.failed == authority::Question::none) != allowed) {
      state.SkipWithError(ruling.error ? to_line(*ruling.error).c_str() : "allowed");
      return;
    }
  }
}

}  // namespace

void register_decision() {
  add(kRow, Side::ours, "allow, 6 constraints", "<= 0.5 us",
      [](benchmark::State& state) { bench_decide(state, "file.read", kArguments, true); });
  add(kRow, Side::ours, "deny, tool not granted", "<= 0.15 us",
      [](benchmark::State& state) { bench_decide(state, "file.erase", kArguments, false); });
  add(kRow, Side::ours, "deny, arguments (with its reason)", "",
      [](benchmark::State& state) { bench_decide(state, "file.read", kRefused, false); });
  add(kRow, Side::ours, "strict parse of the arguments", "", [](benchmark::State& state) {
    for (auto _ : state) {
      const auto arguments = capsules::parse_arguments(as_bytes(kArguments));
      benchmark::DoNotOptimize(arguments);
    }
  });
  add(kRow, Side::floor, "the same comparisons by hand", "", [](benchmark::State& state) {
    const std::string path = "/var/log/plant-0/pump-07.log";
    std::int64_t most = 65536;
    std::int64_t offset = 4096;
    for (auto _ : state) {
      benchmark::DoNotOptimize(most);
      benchmark::DoNotOptimize(offset);
      const bool fits = path.starts_with("/var/log/plant-0/") &&
                        path.starts_with("/var/log/plant-0") && path.size() <= 200 && most >= 1 &&
                        most <= 1'048'576 && (offset == 0 || offset == 4096 || offset == 8192);
      benchmark::DoNotOptimize(fits);
    }
  });
}

}  // namespace taper::bench
