// Random capsules under random blocks, several chains of each on one task, random calls by each of
// them: the authority against a model that knows only the pages' words, keeps the history of calls
// and counts it anew for every question.
// TAPER_PROPERTY_CALLS says how many calls (default 10,000).
#include <cstdlib>

#include "tests/unit/authority/property_model.h"

namespace taper::testing {
namespace {

using namespace property;

std::size_t calls_wanted() {
  const char* text = std::getenv("TAPER_PROPERTY_CALLS");
  return text == nullptr ? 10'000 : std::strtoull(text, nullptr, 10);
}

// --- the authority

struct World {
  explicit World(Fleet& its_fleet)
      : fleet(its_fleet),
        store(store::open_memory({fleet.incarnation, "taper/test"}, store::LogSeed::generate())) {
    const authority::NodeFacts facts{fleet.node, fleet.incarnation,  "n",
                                     {},         capsules::Tier::t2, {}};
    auto started = authority::Authority::start(*store, facts, clock.now());
    REQUIRE(started.code() == Code::ok);
    authority = std::move(started).value();
    REQUIRE(authority->import_root(fleet.root_file, std::nullopt, clock.now()).ok());
  }

  Result<authority::Activation> activate(const Chain& chain) {
    authority::ActivationRequest request{chain.file, authority->challenge(), {}, {}};
    request.proof = chain.holder->sign(
        crypto::statement::kActivation,
        authority::activation_statement(fleet.fleet, fleet.node, fleet.incarnation, chain.hash,
                                        request.challenge, {}));
    return authority->activate(request, tools, clock.now());
  }

  Fleet& fleet;
  ManualClock clock{{5'000'000, kNowS, Node::boot(1)}};
  std::unique_ptr<store::Store> store;
  authority::Tools tools = authority::builtin_tools();
  std::unique_ptr<authority::Authority> authority;
};

struct Settlement {
  CallState state = CallState::done;
  std::int64_t bytes = 0;
  std::optional<std::int64_t> cpu_ms;
};

void settle(World& world, const CallId& call, const Settlement& how) {
  authority::Outcome outcome;
  outcome.state = how.state;
  outcome.result_bytes = static_cast<std::uint64_t>(how.bytes);
  if (how.cpu_ms) outcome.cpu_ms = static_cast<std::uint64_t>(*how.cpu_ms);
  REQUIRE(world.authority->settle(call, outcome, world.clock.now()).code() == Code::ok);
}

struct Totals {
  std::size_t calls = 0, allowed = 0, joins = 0;
  std::map<Code, std::size_t> denied;
};

// One capsule: rounds of queued calls by chains that join one after the other, decided one by one
// in one world, together in the other, and by the model.
class Trial {
 public:
  Trial(Dice& dice, Fleet& fleet, Totals& totals)
      : dice_(dice),
        totals_(totals),
        capsule_(random_capsule(dice, fleet)),
        single_(fleet),
        queued_(fleet) {
    for (int i = 0; i < 3; ++i)
      keys_.push_back(std::make_shared<const crypto::SigningKey>(crypto::SigningKey::generate()));
    Chain root;
    root.file = sign_capsule(fleet, capsule_);
    root.holder = std::make_shared<const crypto::SigningKey>(
        crypto::SigningKey::from_seed(fleet.holder_key.seed()));
    chains_.push_back(random_chain(dice, capsule_, root, keys_));
    const std::int64_t more = dice.one_in(3) ? 0 : dice.roll(1, 4);
    for (std::int64_t i = 0; i < more; ++i) {
      const Chain start = dice.one_in(2) ? root : dice.of(chains_);
      chains_.push_back(random_chain(dice, capsule_, start, keys_));
    }
    join();
  }

  void round() {
    if (attached_ < chains_.size() && dice_.one_in(2)) join();
    std::vector<Asked> queue;
    const std::int64_t length = dice_.one_in(10) ? 64 : dice_.roll(1, 8);
    for (std::int64_t i = 0; i < length; ++i) {
      const auto chain = static_cast<std::size_t>(dice_.roll(0, std::int64_t(attached_) - 1));
      Call call{dice_.of(kTools), dice_.of(kPaths), std::nullopt};
      if (dice_.one_in(2)) call.number = dice_.roll(0, 130);
      queue.push_back({chain, std::move(call)});
    }
    decide(queue);
    while (!open_.empty() && !dice_.one_in(4)) settle_last();
    const std::int64_t passed = dice_.roll(0, 900);
    single_.clock.advance_ms(passed);
    queued_.clock.advance_ms(passed);
  }

  // What belongs to the task is what the calls made of it; who joined has left no trace there.
  void finish() {
    const auto view = authority::show_task(*single_.store, task_, single_.clock.now());
    REQUIRE(view.code() == Code::ok);
    CHECK(view->denials == static_cast<std::uint64_t>(model_.denials()));
    CHECK(view->active_ms == model_.active_ms(now_ms()));
    CHECK(std::set(view->labels.begin(), view->labels.end()) == model_.labels());
    CHECK(view->ttl_ms == capsule_.lease_ttl_ms);
    if (model_.stopped()) return;
    CHECK(single_.authority
              ->begin_ending(task_, authority::EndReason::completion, single_.clock.now())
              .ok());
    CHECK(single_.authority->finish(task_, single_.clock.now()).code() == Code::ok);
    for (const Chain& chain : chains_) {
      CHECK(single_.activate(chain).code() == Code::activations_spent);
    }
  }

 private:
  struct Asked {
    std::size_t chain = 0;
    Call call;
  };

  std::int64_t now_ms() { return single_.clock.now().boot_ms; }

  // A chain whose time is over, or one that comes when the task has stopped, is left out for good.
  void join() {
    const Chain& chain = chains_[attached_];
    const bool first = attached_ == 0;
    const bool may = first || (!model_.stopped() && !model_.over(chain, now_ms()));
    const auto alone = single_.activate(chain);
    const auto queued = queued_.activate(chain);
    INFO((alone ? "" : to_line(alone.error())));
    REQUIRE(alone.ok() == may);
    REQUIRE(queued.ok() == may);
    if (!may) {
      chains_.erase(chains_.begin() + static_cast<std::ptrdiff_t>(attached_));
      return;
    }
    if (first) {
      task_ = alone->task;
      twin_ = queued->task;
    }
    REQUIRE(alone->task == task_);
    model_.join(chain);
    ++attached_;
    if (!first) ++totals_.joins;
  }

  void decide(const std::vector<Asked>& queue) {
    std::vector<authority::CallRequest> requests;
    for (const auto& [chain, call] : queue) {
      requests.push_back({twin_, chains_[chain].hash, capsules::Verb::call, call.tool,
                          to_bytes(as_bytes(call.json())), "s"});
    }
    auto together =
        queued_.authority->authorise_batch(requests, queued_.tools, queued_.clock.now());
    REQUIRE(together.size() == queue.size());
    for (std::size_t i = 0; i < queue.size(); ++i) {
      const auto& [chain, call] = queue[i];
      requests[i].task = task_;
      auto alone = single_.authority->authorise(requests[i], single_.tools, single_.clock.now());
      INFO("call " << call.tool << " " << call.json() << " by chain " << chain << " under "
                   << chains_[chain].blocks.size());
      REQUIRE(alone.code() == Code::ok);
      REQUIRE(together[i].code() == Code::ok);
      compare(queue[i], *alone, *together[i]);
    }
  }

  void compare(const Asked& asked, const authority::Decision& alone,
               const authority::Decision& together) {
    const auto* allowed = std::get_if<authority::Allowed>(&alone);
    const auto* same = std::get_if<authority::Allowed>(&together);
    const bool agreed = model_.decide(chains_[asked.chain], asked.call, now_ms());
    ++totals_.calls;
    REQUIRE((allowed != nullptr) == agreed);
    REQUIRE((same != nullptr) == agreed);
    if (!agreed) {
      const auto& denial = std::get<authority::Denial>(alone);
      const auto& other = std::get<authority::Denial>(together);
      REQUIRE(denial.error.code() == other.error.code());
      REQUIRE(denial.ends_task == other.ends_task);
      ++totals_.denied[denial.error.code()];
      return;
    }
    ++totals_.allowed;
    const Event& event = model_.event(model_.size() - 1);
    REQUIRE(allowed->permit.facts().caps.output_bytes == std::size_t(event.bytes));
    REQUIRE(allowed->permit.facts().caps.cpu_s * 1000 == std::uint64_t(event.cpu_ms));
    calls_.push_back(allowed->call);
    twins_.push_back(same->call);
    open_.push_back(model_.size() - 1);
  }

  void settle_last() {
    const std::size_t number = open_.back();
    open_.pop_back();
    Event& event = model_.event(number);
    Settlement how{dice_.of(std::vector<CallState>{CallState::done, CallState::done,
                                                   CallState::failed, CallState::interrupted}),
                   dice_.roll(0, event.bytes), std::nullopt};
    if (!dice_.one_in(5)) how.cpu_ms = dice_.roll(0, event.cpu_ms);
    settle(single_, calls_[number], how);
    settle(queued_, twins_[number], how);
    event.state = how.state;
    model_.settled(now_ms());
    if (how.state == CallState::interrupted) return;
    event.bytes = how.bytes;
    event.cpu_ms = how.cpu_ms.value_or(event.cpu_ms);
  }

  Dice& dice_;
  Totals& totals_;
  Capsule capsule_;
  std::vector<Key> keys_;
  std::vector<Chain> chains_;
  std::size_t attached_ = 0;
  World single_, queued_;
  TaskId task_, twin_;
  Model model_{capsule_, now_ms()};
  std::vector<CallId> calls_, twins_;  // by the model's number
  std::vector<std::size_t> open_;
};

TEST_CASE("no decision is wider than every block of its chain together, whoever else calls",
          "[authority][R31][R36][R37][R38][R45]") {
  REQUIRE(crypto::initialise().ok());
  Dice dice(20261121);
  Fleet fleet = make_fleet();
  Totals totals;
  while (totals.calls < calls_wanted()) {
    Trial trial(dice, fleet, totals);
    for (int round = 0; round < 12; ++round) trial.round();
    trial.finish();
  }
  // The test saw every rule at work.
  CHECK(totals.allowed * 20 > totals.calls);
  CHECK(totals.joins * 100 > totals.calls / 10);
  for (const Code code :
       {Code::tool_not_granted, Code::argument_refused, Code::label_refused, Code::label_conflict,
        Code::after_unmet, Code::idempotency_reused, Code::budget_calls, Code::budget_rate,
        Code::budget_bytes, Code::budget_cpu, Code::budget_sum, Code::lease_over,
        Code::verb_not_granted, Code::task_not_live}) {
    INFO(describe(code).name);
    CHECK(totals.denied[code] > 0);
  }
  std::size_t denied = 0;
  for (const auto& [code, count] : totals.denied) denied += count;
  CHECK(totals.allowed + denied == totals.calls);
}

}  // namespace
}  // namespace taper::testing
