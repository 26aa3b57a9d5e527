// 64 callers who want more than there is, decided in whatever company they meet, while the node is
// closed and opened again. What they got is counted in a file that no store knows of, and must be
// what the store says is gone.
#include <algorithm>
#include <fstream>
#include <random>

#include "runtime/base/limits.h"
#include "tests/support/state_for_tests.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using capsules::Budget;
using capsules::Capsule;
using Wide = __int128;

constexpr std::size_t kCallers = 64;
constexpr int kTurns = 40;
constexpr std::int64_t kMost = INT64_MAX;
constexpr std::int64_t kUnknown = -1;

struct Caller {
  enum class Is { idle, queued, running } is = Is::idle;
  std::int64_t amount = 0;
  std::size_t effect = 0;  // where it runs
  CallId call;
};

// What a permit was good for. Time is counted as a node can know it: none of it while it is off.
struct Effect {
  std::int64_t at_ms = 0, amount = 0;
  std::int64_t bytes = 0, cpu_ms = 0;  // reserved, then used
  int owner = 0;                       // which opening of the node gave it
};

class Race {
 public:
  Race(const Budget& budget, std::vector<std::int64_t> amounts, std::uint64_t seed)
      : budget_(budget), amounts_(std::move(amounts)), engine_(seed) {
    fleet_.node = disk_.identity.node;
    fleet_.incarnation = disk_.identity.incarnation;
    open();
    REQUIRE(authority_->import_root(fleet_.root_file, std::nullopt, clock_.now()).ok());
    file_ = sign_capsule(fleet_, capsule());
    activate();
  }

  void run() {
    for (int turn = 0; turn < kTurns; ++turn) {
      for (Caller& caller : callers_) {
        if (caller.is == Caller::Is::idle && !one_in(4)) {
          caller.is = Caller::Is::queued;
          caller.amount = amounts_[below(amounts_.size())];
        }
      }
      while (!one_in(3)) decide_some();
      for (Caller& caller : callers_)
        if (caller.is == Caller::Is::running && one_in(3)) settle(caller);
      check();
      if (one_in(12)) reopen();
      advance(below(400));
    }
    check_rate();
    check_file();
  }

  std::size_t granted() const { return effects_.size(); }
  std::size_t refused() const { return refused_; }
  Wide amounts() const {
    Wide sum = 0;
    for (const Effect& effect : effects_) sum += effect.amount;
    return sum;
  }

 private:
  Capsule capsule() {
    Capsule capsule = sample_capsule(fleet_);
    capsule.lease_ttl_ms = capsule.lease_idle_ms = 3'600'000;
    capsule.log_quota_bytes = 1'000'000'000;
    capsule.activations = 100;
    capsule.end_on = {};
    capsule.end_on.denials = 1'000'000;
    capsule.grants.resize(1);
    capsule.grants[0].args = {{"path", false, {capsules::Under{"/var/log/plant"}}},
                              {"offset", true, {capsules::AnyValue{}}}};
    capsule.grants[0].budget = budget_;
    capsule.grants[0].cell.output_bytes = 100;
    capsule.grants[0].cell.cpu_s = 2;
    return capsule;
  }

  std::size_t below(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(engine_);
  }
  bool one_in(std::size_t count) { return below(count) == 0; }
  void advance(std::size_t ms) {
    clock_.advance_ms(static_cast<std::int64_t>(ms));
    known_ms_ += static_cast<std::int64_t>(ms);
  }

  void open() {
    store_ = disk_.open();
    const authority::NodeFacts facts{fleet_.node, fleet_.incarnation, "n",
                                     {},          capsules::Tier::t2, {}};
    auto started = authority::Authority::start(*store_, facts, clock_.now());
    REQUIRE(started.code() == Code::ok);
    authority_ = std::move(started).value();
    ++owner_;
  }

  void activate() {
    const auto opened = capsules::open(file_, *authority_->root());
    REQUIRE(opened.code() == Code::ok);
    authority::ActivationRequest request{file_, authority_->challenge(), {}, {}};
    request.proof = fleet_.holder_key.sign(
        crypto::statement::kActivation,
        authority::activation_statement(fleet_.fleet, fleet_.node, fleet_.incarnation,
                                        opened->chain(), request.challenge, {}));
    const auto activation = authority_->activate(request, tools_, clock_.now());
    INFO((activation ? "" : to_line(activation.error())));
    REQUIRE(activation.code() == Code::ok);
    task_ = activation->task;
  }

  // The process dies, perhaps the machine; or the task ends and the capsule is activated anew. The
  // calls under way keep all that was reserved for them.
  void reopen() {
    if (one_in(3)) {
      REQUIRE(authority_->begin_ending(task_, authority::EndReason::completion, clock_.now()).ok());
      REQUIRE(authority_->finish(task_, clock_.now()).ok());
    }
    authority_.reset();
    store_.reset();
    if (one_in(2)) {
      clock_.advance_ms(600'000);
      clock_.reboot(Node::boot(static_cast<std::uint8_t>(owner_ + 1)));
    }
    open();
    activate();
    for (Caller& caller : callers_) caller = {};
    check();
  }

  // Any of those who wait, in any order: alone, or as many together as it happens.
  void decide_some() {
    std::vector<Caller*> queue;
    for (Caller& caller : callers_)
      if (caller.is == Caller::Is::queued) queue.push_back(&caller);
    std::shuffle(queue.begin(), queue.end(), engine_);
    queue.resize(one_in(3) ? queue.size() : below(queue.size() + 1));
    std::vector<authority::CallRequest> requests;
    for (const Caller* caller : queue) {
      const std::string json =
          R"({"offset":)" + std::to_string(caller->amount) + R"(,"path":"/var/log/plant/a"})";
      requests.push_back({task_, authority_->capsule(task_)->chain(), capsules::Verb::call,
                          "file.read", to_bytes(as_bytes(json)), "s"});
    }
    auto decisions = authority_->authorise_batch(requests, tools_, clock_.now());
    REQUIRE(decisions.size() == queue.size());
    for (std::size_t i = 0; i < queue.size(); ++i) {
      REQUIRE(decisions[i].code() == Code::ok);
      take(*queue[i], std::move(decisions[i]).value());
    }
  }

  void take(Caller& caller, authority::Decision decision) {
    caller.is = Caller::Is::idle;
    auto* allowed = std::get_if<authority::Allowed>(&decision);
    if (allowed == nullptr) {
      ++refused_;
      return;
    }
    const authority::PermitFacts facts = std::move(allowed->permit).consume();
    file_of_effects_ << facts.call.hex() << ' ' << caller.amount << std::endl;
    caller.is = Caller::Is::running;
    caller.call = allowed->call;
    caller.effect = effects_.size();
    effects_.push_back({known_ms_, caller.amount,
                        static_cast<std::int64_t>(facts.caps.output_bytes),
                        static_cast<std::int64_t>(facts.caps.cpu_s * 1000), owner_});
  }

  void settle(Caller& caller) {
    Effect& effect = effects_[caller.effect];
    authority::Outcome outcome;
    outcome.state = one_in(3) ? CallState::failed : CallState::done;
    outcome.result_bytes = below(static_cast<std::size_t>(effect.bytes) + 1);
    const std::int64_t cpu =
        one_in(4) ? kUnknown : static_cast<std::int64_t>(below(std::size_t(effect.cpu_ms) + 1));
    if (cpu != kUnknown) outcome.cpu_ms = static_cast<std::uint64_t>(cpu);
    REQUIRE(authority_->settle(caller.call, outcome, clock_.now()).code() == Code::ok);
    // It counts once, whoever says it how often.
    static_cast<void>(authority_->settle(caller.call, outcome, clock_.now()).ok());
    effect.bytes = static_cast<std::int64_t>(outcome.result_bytes);
    if (cpu != kUnknown) effect.cpu_ms = cpu;
    caller.is = Caller::Is::idle;
  }

  // What is left and what was had are the whole, to the last one.
  void check() const {
    const auto view = authority::show_task(*store_, task_, clock_.now());
    REQUIRE(view.code() == Code::ok);
    const authority::BudgetLeft& left = view->grants.at(0).left;
    Wide bytes = 0, cpu_ms = 0;
    for (const Effect& effect : effects_) {
      bytes += effect.bytes;
      cpu_ms += effect.cpu_ms;
    }
    const auto whole = [](const char* what, const std::optional<std::int64_t>& most, Wide had,
                          const std::optional<std::int64_t>& rest) {
      INFO(what << ": " << static_cast<std::int64_t>(had) << " had, " << rest.value_or(-1)
                << " left of " << most.value_or(-1));
      REQUIRE(most.has_value() == rest.has_value());
      if (most) REQUIRE((had <= *most && had + *rest == *most));
    };
    whole("calls", budget_.calls, static_cast<Wide>(effects_.size()), left.calls);
    whole("bytes", budget_.bytes, bytes, left.bytes);
    whole("cpu", budget_.cpu_ms, cpu_ms, left.cpu_ms);
    if (budget_.sum) whole("sum", budget_.sum->most, amounts(), left.sum);
  }

  // In any span of known time: the bucket once full, and what flowed in meanwhile.
  void check_rate() const {
    if (!budget_.rate) return;
    const Wide count = budget_.rate->count, per_ms = budget_.rate->per_ms;
    for (std::size_t first = 0; first < effects_.size(); ++first) {
      for (std::size_t last = first; last < effects_.size(); ++last) {
        const Wide passed = effects_[last].at_ms - effects_[first].at_ms;
        REQUIRE(static_cast<Wide>(last - first + 1) * per_ms <= count * per_ms + passed * count);
      }
    }
  }

  // The file itself: as many lines as permits, each call once.
  void check_file() const {
    std::ifstream in(effects_path());
    std::vector<std::string> calls;
    Wide sum = 0;
    for (std::string call, amount; in >> call >> amount; sum += std::stoll(amount))
      calls.push_back(call);
    std::sort(calls.begin(), calls.end());
    CHECK(std::adjacent_find(calls.begin(), calls.end()) == calls.end());
    CHECK(calls.size() == effects_.size());
    CHECK(sum == amounts());
  }

  std::string effects_path() const { return disk_.directory / "effects"; }

  Budget budget_;
  std::vector<std::int64_t> amounts_;
  std::mt19937_64 engine_;
  DiskState disk_;
  Fleet fleet_ = make_fleet();
  ManualClock clock_{{5'000'000, kNowS, Node::boot(1)}};
  std::int64_t known_ms_ = 0;
  std::unique_ptr<store::Store> store_;
  authority::Tools tools_ = authority::builtin_tools();
  std::unique_ptr<authority::Authority> authority_;
  Bytes file_;
  TaskId task_;
  int owner_ = 0;
  std::vector<Caller> callers_{kCallers};
  std::vector<Effect> effects_;
  std::size_t refused_ = 0;
  std::ofstream file_of_effects_{effects_path(), std::ios::app};
};

Budget of_calls(std::int64_t most) {
  Budget budget;
  budget.calls = most;
  return budget;
}
Budget of_bytes(std::int64_t most) {
  Budget budget;
  budget.bytes = most;
  return budget;
}
Budget of_cpu(std::int64_t most) {
  Budget budget;
  budget.cpu_ms = most;
  return budget;
}
Budget of_sum(std::int64_t most) {
  Budget budget;
  budget.sum = capsules::Sum{"offset", most};
  return budget;
}

TEST_CASE("64 callers get no call more than there is", "[authority][R37][R38][R50]") {
  const std::int64_t most = GENERATE(as<std::int64_t>(), 0, 1, 65, 500);
  Race race(of_calls(most), {0}, 1);
  race.run();
  CHECK(race.granted() == static_cast<std::size_t>(most));  // and none less
  CHECK(race.refused() > 0);
}

TEST_CASE("64 callers get no byte and no second more than there is", "[authority][R37][R38][R50]") {
  const std::int64_t most = GENERATE(as<std::int64_t>(), 0, 1, 1'000, 20'001);
  const bool cpu = GENERATE(false, true);
  Race race(cpu ? of_cpu(most) : of_bytes(most), {0}, 2);
  race.run();
  CHECK((race.granted() > 0) == (most >= (cpu ? 1'000 : 1)));
  CHECK(race.refused() > 0);
}

TEST_CASE("64 callers get no sum beyond the last one", "[authority][R37][R38][R50]") {
  SECTION("small") {
    Race race(of_sum(1'000), {1, 2, 3, 50, 999, 1'001, -1, kMost}, 3);
    race.run();
    CHECK(race.amounts() == 1'000);
    CHECK(race.refused() > 0);
  }
  SECTION("none") {
    Race race(of_sum(0), {0, 1, -1, INT64_MIN, kMost}, 4);
    race.run();
    CHECK(race.amounts() == 0);
    CHECK(race.granted() > 0);
    CHECK(race.refused() > 0);
  }
  SECTION("at the end of the range") {
    std::vector<std::int64_t> amounts = {kMost, kMost - 1, -1};
    for (unsigned bit = 0; bit < 63; ++bit) amounts.push_back(std::int64_t{1} << bit);
    Race race(of_sum(kMost), amounts, GENERATE(5U, 6U, 7U));
    race.run();
    CHECK(race.amounts() <= kMost);
    CHECK(race.amounts() > kMost - (Wide{1} << 40U));
    CHECK(race.refused() > 0);
  }
}

TEST_CASE("64 callers under budgets that nobody can spend", "[authority][R38]") {
  Budget budget = of_calls(kMost);
  budget.bytes = budget.cpu_ms = kMost;
  budget.rate = capsules::Rate{limits::kRateCountMax, limits::kLeaseTtlMaxMs};
  budget.sum = capsules::Sum{"offset", kMost};
  Race race(budget, {0, 1, 1'000'000'000'000}, 11);
  race.run();
  CHECK(race.granted() > 10 * kCallers);
  CHECK(race.refused() == 0);
}

TEST_CASE("64 callers are no faster together than one", "[authority][R37][R38][R50]") {
  Budget budget;
  budget.rate = GENERATE(capsules::Rate{1, 1}, capsules::Rate{3, 1'000},
                         capsules::Rate{64, 3'600'000}, capsules::Rate{7, 13});
  Race race(budget, {0}, 12);
  race.run();
  CHECK(race.granted() > 0);
  CHECK(race.refused() > 0);
}

}  // namespace
}  // namespace taper::testing
