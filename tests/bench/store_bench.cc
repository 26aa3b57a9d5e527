// Durable work: admitting a capsule and deciding a call on LMDB with every sync, beside a bare LMDB
// commit with as many puts into as many tables and one Ed25519 signature.
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/authority/authority.h"
#include "runtime/authority/node.h"
#include "tests/bench/raw_lmdb.h"
#include "tests/bench/rows.h"
#include "tests/bench/sample.h"

namespace taper::bench {
namespace {

constexpr const char* kAdmit = "durable single-use admission";
constexpr const char* kDecide = "durable decision and outcome";
constexpr const char* kBatch = "64 callers' decisions in one commit";
constexpr std::size_t kCallers = 64;
// What one admission changes: leaf, tree node, head, activation, serial, capsule, inputs, task,
// meta.
constexpr std::array<std::size_t, 9> kAdmissionPuts = {900, 32, 200, 4, 32, 4300, 16, 400, 64};

struct Node {
  std::string state = scratch_directory("node") + "/state";
  SystemClock clock;
  Result<authority::NodeRecord> record = authority::create_node(state, "bench");
  Result<std::unique_ptr<store::Store>> store = store::open_state(
      {.directory = state, .origin = authority::log_origin(*record), .read_only = false});
  Sample sample{record->sign, record->incarnation, clock.now().wall_s};
  authority::Tools tools = authority::builtin_tools();
  std::unique_ptr<authority::Authority> authority;
  std::uint64_t serial = 0;

  Node() {
    auto started = authority::Authority::start(**store,
                                               {.node = record->sign,
                                                .incarnation = record->incarnation,
                                                .name = "bench",
                                                .forbidden_trees = {state},
                                                .tier = capsules::Tier::t2,
                                                .mount_points = {}},
                                               clock.now());
    TAPER_ASSERT(started.ok());
    authority = std::move(started).value();
    const Status imported =
        authority->import_root(sample.fleet.root_file, std::nullopt, clock.now());
    TAPER_ASSERT(imported.ok());
  }

  authority::ActivationRequest request() {
    authority::ActivationRequest made{.capsule_file = sample.signed_file(++serial),
                                      .challenge = authority->challenge(),
                                      .proof = {},
                                      .inputs = {}};
    const auto opened = capsules::open(made.capsule_file, *authority->root());
    TAPER_ASSERT(opened.ok());
    made.proof = sample.fleet.holder_key.sign(
        crypto::statement::kActivation,
        authority::activation_statement(sample.capsule.fleet, record->sign, record->incarnation,
                                        opened->chain(), made.challenge, {}));
    return made;
  }
};

void bench_admit(benchmark::State& state) {
  Node node;
  for (auto _ : state) {
    state.PauseTiming();
    const authority::ActivationRequest request = node.request();
    state.ResumeTiming();
    const auto activated = node.authority->activate(request, node.tools, node.clock.now());
    if (!activated.ok()) {
      state.SkipWithError(to_line(activated.error()).c_str());
      return;
    }
  }
}

void bench_decide(benchmark::State& state) {
  Node node;
  const auto task = node.authority->activate(node.request(), node.tools, node.clock.now());
  if (!task.ok()) {
    state.SkipWithError(to_line(task.error()).c_str());
    return;
  }
  const authority::CallRequest request{
      .task = task->task,
      .chain = task->chain,
      .verb = capsules::Verb::call,
      .tool = "file.read",
      .arguments = to_bytes(as_bytes(R"({"path":"/var/log/plant-0/a"})")),
      .step = "read"};
  for (auto _ : state) {
    auto decision = node.authority->authorise(request, node.tools, node.clock.now());
    if (!decision.ok() || !std::holds_alternative<authority::Allowed>(*decision)) {
      state.SkipWithError("not allowed");
      return;
    }
    const authority::Outcome outcome{.state = authority::CallState::done,
                                     .code = Code::ok,
                                     .detail = "",
                                     .subject = "",
                                     .result_bytes = 10,
                                     .result = {},
                                     .exit_status = 0};
    if (!node.authority
             ->settle(std::get<authority::Allowed>(*decision).call, outcome, node.clock.now())
             .ok()) {
      state.SkipWithError("not settled");
      return;
    }
  }
}

// A batch is one iteration; its time goes by the number of callers.
void bench_batch(benchmark::State& state) {
  Node node;
  const auto task = node.authority->activate(node.request(), node.tools, node.clock.now());
  if (!task.ok()) {
    state.SkipWithError(to_line(task.error()).c_str());
    return;
  }
  const std::vector<authority::CallRequest> queue(
      kCallers, {.task = task->task,
                 .chain = task->chain,
                 .verb = capsules::Verb::call,
                 .tool = "file.read",
                 .arguments = to_bytes(as_bytes(R"({"path":"/var/log/plant-0/a"})")),
                 .step = "read"});
  for (auto _ : state) {
    for (const auto& decision :
         node.authority->authorise_batch(queue, node.tools, node.clock.now())) {
      if (decision.ok() && std::holds_alternative<authority::Allowed>(*decision)) continue;
      state.SkipWithError("not allowed");
      return;
    }
  }
}

// The floor of `commits` commits with `puts` puts each.
class Floor {
 public:
  Floor(int commits, std::size_t puts) : commits_(commits), puts_(puts) {}
  bool once() {
    for (int i = 0; i < commits_; ++i) {
      benchmark::DoNotOptimize(key_.sign(crypto::statement::kCheckpoint, head_));
      if (!lmdb_.commit(puts_)) return false;
    }
    return true;
  }

 private:
  int commits_;
  std::size_t puts_;
  RawLmdb lmdb_{scratch_directory("lmdb"), kAdmissionPuts};
  crypto::SigningKey key_ = crypto::SigningKey::generate();
  Bytes head_ = Bytes(150);
};
constexpr std::size_t kDecisionPuts = 6;

void bench_floor(benchmark::State& state, int commits, std::size_t puts) {
  Floor floor(commits, puts);
  for (auto _ : state) {
    if (!floor.once()) state.SkipWithError("LMDB refused");
  }
}

}  // namespace

void register_store() {
  add(kAdmit, Side::ours, "activate() with proof", "<= 1.3 x floor + 2 verifications", bench_admit);
  add(kAdmit, Side::floor, "LMDB commit, 9 puts, 1 sign", "",
      [](benchmark::State& state) { bench_floor(state, 1, kAdmissionPuts.size()); });
  add(kDecide, Side::ours, "authorise() + settle()", "<= 1.3 x floor", bench_decide);
  add(kBatch, Side::ours, "authorise_batch()", "<= 2133 us (30,000 a second)", bench_batch);
  add(kBatch, Side::floor, "1 LMDB commit, 6 puts, 1 sign", "",
      [](benchmark::State& state) { bench_floor(state, 1, kDecisionPuts); });
  add(kDecide, Side::floor, "2 LMDB commits, 6 puts, 1 sign each", "",
      [](benchmark::State& state) { bench_floor(state, 2, kDecisionPuts); });
}

bool answer_with_floor() {
  Floor floor(2, kDecisionPuts);
  while (std::getchar() != EOF) {
    const auto begin = std::chrono::steady_clock::now();
    if (!floor.once()) return false;
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    std::printf("%.1f\n", took.count());
    std::fflush(stdout);
  }
  return true;
}

}  // namespace taper::bench
