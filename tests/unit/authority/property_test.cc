// Random capsules under random blocks, random calls: the authority against a model that knows only
// the pages' words, keeps the history of calls and counts it anew for every question.
// TAPER_PROPERTY_CALLS says how many calls (default 10,000).
#include <cstdlib>
#include <random>

#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using capsules::ArgRule;
using capsules::Budget;
using capsules::Capsule;
using capsules::Grant;
using capsules::KeptGrant;

std::size_t calls_wanted() {
  const char* text = std::getenv("TAPER_PROPERTY_CALLS");
  return text == nullptr ? 10'000 : std::strtoull(text, nullptr, 10);
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::int64_t roll(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(engine_);
  }
  bool one_in(std::int64_t count) { return roll(1, count) == 1; }
  template <class T>
  const T& of(const std::vector<T>& values) {
    return values[static_cast<std::size_t>(roll(0, std::int64_t(values.size()) - 1))];
  }

  int number() { return ++number_; }  // another each time

 private:
  std::mt19937_64 engine_;
  int number_ = 0;
};

const std::vector<std::string> kTrees = {"/t", "/t", "/t", "/t", "/t/a", "/t/b"};
const std::vector<std::string> kPaths = {"/t/a/x", "/t/a/y", "/t/a/z", "/t/b/x",
                                         "/t/b/y", "/t/b/z", "/u/x"};
const std::vector<std::string> kLabels = {"red", "green", "blue"};
const std::vector<std::string> kTools = {"file.read", "file.list"};

struct Call {
  std::string tool, path;
  std::optional<std::int64_t> number;  // max_bytes or max_entries
  std::string json() const {
    const std::string name = tool == "file.read" ? "max_bytes" : "max_entries";
    const std::string first = number ? "\"" + name + "\":" + std::to_string(*number) + "," : "";
    return "{" + first + "\"path\":\"" + path + "\"}";
  }
};
std::string number_of(const std::string& tool) {
  return tool == "file.read" ? "max_bytes" : "max_entries";
}

// --- random capsules

std::vector<std::string> some_labels(Dice& dice, std::int64_t one_in) {
  return dice.one_in(one_in) ? std::vector<std::string>{dice.of(kLabels)}
                             : std::vector<std::string>{};
}

Budget random_budget(Dice& dice, const std::string& tool, std::int64_t one_in) {
  Budget out;
  if (dice.one_in(one_in)) out.calls = dice.roll(2, 24);
  if (dice.one_in(one_in)) out.rate = capsules::Rate{dice.roll(1, 4), dice.roll(1, 3'000)};
  if (dice.one_in(one_in)) out.bytes = dice.roll(1, 6'000);
  if (dice.one_in(one_in)) out.cpu_ms = dice.roll(500, 30'000);
  if (dice.one_in(2 * one_in)) out.sum = capsules::Sum{number_of(tool), dice.roll(0, 400)};
  return out;
}

std::vector<ArgRule> random_rules(Dice& dice, const std::string& tool) {
  std::vector<ArgRule> out = {{"path", false, {capsules::Under{dice.of(kTrees)}}}};
  out.push_back({number_of(tool), true, {capsules::AtMost{dice.roll(60, 130)}}});
  return out;
}

Capsule random_capsule(Dice& dice, Fleet& fleet) {
  Capsule capsule = sample_capsule(fleet);
  capsule.lease_ttl_ms = capsule.lease_idle_ms = 3'600'000;
  capsule.end_on = {};
  capsule.end_on.denials = dice.one_in(5) ? dice.roll(3, 30) : 10'000;
  capsule.log_quota_bytes = 1'000'000'000;
  capsule.max_depth = 8;
  capsule.plan.steps = {{"one", "file.read", R"({"path":"/t/a/x"})", {}}};
  capsule.grants.clear();
  const std::int64_t count = dice.roll(2, 5);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string& tool = dice.of(kTools);
    Grant grant = sample_grant("g" + std::to_string(i), tool, capsules::Effect::read,
                               random_rules(dice, tool));
    grant.budget = random_budget(dice, tool, 4);
    grant.labels = some_labels(dice, 4);
    grant.refuse_after = some_labels(dice, 4);
    if (i > 0 && dice.one_in(4)) grant.after = {"g" + std::to_string(dice.roll(0, i - 1))};
    if (dice.one_in(12)) grant.idempotency = "path";
    grant.cell.output_bytes = dice.roll(100, 600);
    grant.cell.cpu_s = dice.roll(1, 4);
    capsule.grants.push_back(std::move(grant));
  }
  return capsule;
}

template <class Parents>
std::vector<KeptGrant> random_kept(Dice& dice, const Parents& parents,
                                   const std::map<std::string, std::string>& tools) {
  std::vector<KeptGrant> out;
  for (const auto& parent : parents) {
    const std::int64_t copies = dice.one_in(16) ? 0 : dice.one_in(6) ? 2 : 1;
    for (std::int64_t copy = 0; copy < copies && out.size() < 6; ++copy) {
      const std::string& tool = tools.at(parent.id);
      KeptGrant kept;
      kept.id = copy == 0 ? parent.id : "k" + std::to_string(dice.number());
      kept.parent = parent.id;
      if (dice.one_in(4)) kept.args = random_rules(dice, tool);
      kept.budget = random_budget(dice, tool, 10);
      kept.labels = some_labels(dice, 8);
      kept.refuse_after = some_labels(dice, 12);
      out.push_back(std::move(kept));
    }
  }
  return out;
}

// --- the model

bool matches(const std::vector<ArgRule>& rules, const Call& call) {
  for (const ArgRule& rule : rules) {
    for (const capsules::Constraint& constraint : rule.all) {
      if (const auto* under = std::get_if<capsules::Under>(&constraint)) {
        if (call.path != under->tree && !call.path.starts_with(under->tree + "/")) return false;
      }
      if (const auto* most = std::get_if<capsules::AtMost>(&constraint)) {
        if (call.number && *call.number > most->most) return false;
      }
    }
  }
  return true;
}

// What one level asks of a call, whoever wrote it.
struct Terms {
  std::string where;  // unique: level and id
  const Budget* budget;
  const std::vector<std::string>*labels, *refuse_after;
};

struct Event {  // an allowed call
  std::string root;
  std::vector<Terms> line;
  Call call;
  std::int64_t at_ms = 0;
  std::int64_t bytes = 0, cpu_ms = 0;  // reserved, then used
  CallState state = CallState::authorised;
};

class Model {
 public:
  Model(const Capsule& capsule, const std::vector<capsules::Block>& blocks)
      : capsule_(capsule), blocks_(blocks) {}

  // Whether every level agrees; charges when they do.
  bool decide(const Call& call, std::int64_t now_ms) {
    if (denials_ >= capsule_.end_on.denials) return false;
    std::optional<Event> event = event_of(call, now_ms);
    if (!event || !may(*event)) {
      ++denials_;
      return false;
    }
    events_.push_back(std::move(*event));
    return true;
  }
  Event& event(std::size_t number) { return events_[number]; }
  std::size_t size() const { return events_.size(); }

 private:
  std::optional<Event> event_of(const Call& call, std::int64_t now_ms) const {
    for (const Grant& grant : capsule_.grants) {
      if (grant.tool != call.tool || !matches(grant.args, call)) continue;
      Event event{grant.id, {}, call, now_ms, *grant.cell.output_bytes, 0, CallState::authorised};
      event.cpu_ms = *grant.cell.cpu_s * 1000;
      event.line.push_back({"0 " + grant.id, &grant.budget, &grant.labels, &grant.refuse_after});
      std::string parent = grant.id;
      for (std::size_t level = 0; level < blocks_.size(); ++level) {
        const KeptGrant* chosen = nullptr;
        for (const KeptGrant& kept : blocks_[level].grants) {
          if (chosen == nullptr && kept.parent == parent && matches(kept.args, call))
            chosen = &kept;
        }
        if (chosen == nullptr) return std::nullopt;
        parent = chosen->id;
        event.line.push_back({std::to_string(level + 1) + " " + chosen->id, &chosen->budget,
                              &chosen->labels, &chosen->refuse_after});
      }
      return event;
    }
    return std::nullopt;
  }

  bool may(Event& event) const {
    for (const Terms& terms : event.line) {
      if (!labels_allow(terms) || !budget_allows(terms, event)) return false;
    }
    const auto grant = std::find_if(capsule_.grants.begin(), capsule_.grants.end(),
                                    [&](const Grant& g) { return g.id == event.root; });
    for (const std::string& id : grant->after) {
      const bool done = std::any_of(events_.begin(), events_.end(), [&](const Event& past) {
        return past.root == id && past.state == CallState::done;
      });
      if (!done) return false;
    }
    return grant->idempotency.empty() ||
           std::none_of(events_.begin(), events_.end(), [&](const Event& past) {
             return past.root == event.root && past.call.path == event.call.path &&
                    past.state != CallState::interrupted;
           });
  }

  bool labels_allow(const Terms& terms) const {
    for (const Event& past : events_) {
      for (const Terms& theirs : past.line) {
        for (const std::string& label : *theirs.labels) {
          if (contains(*terms.refuse_after, label)) return false;
        }
        if (past.state != CallState::authorised) continue;
        for (const std::string& label : *theirs.refuse_after) {
          if (contains(*terms.labels, label)) return false;
        }
      }
    }
    return true;
  }

  bool budget_allows(const Terms& terms, Event& event) const {
    std::int64_t calls = 0, bytes = 0, cpu_ms = 0, sum = 0;
    const Budget& budget = *terms.budget;
    bool fast = false;
    std::int64_t later = 1;  // this call and those since
    for (auto past = events_.rbegin(); past != events_.rend(); ++past) {
      const bool same = std::any_of(past->line.begin(), past->line.end(),
                                    [&](const Terms& t) { return t.where == terms.where; });
      if (!same) continue;
      ++calls;
      bytes += past->bytes;
      cpu_ms += past->cpu_ms;
      sum += past->call.number.value_or(0);
      ++later;
      // Over any span of time: no more than the bucket holds and what flows in meanwhile.
      if (budget.rate) {
        const auto flow = static_cast<__int128>(event.at_ms - past->at_ms) * budget.rate->count;
        const auto room = static_cast<__int128>(budget.rate->count) * budget.rate->per_ms + flow;
        fast = fast || static_cast<__int128>(later) * budget.rate->per_ms > room;
      }
    }
    if (fast || (budget.calls && calls >= *budget.calls)) return false;
    if (budget.bytes && bytes >= *budget.bytes) return false;
    if (budget.bytes) event.bytes = std::min(event.bytes, *budget.bytes - bytes);
    if (budget.cpu_ms && cpu_ms + 1000 > *budget.cpu_ms) return false;
    if (budget.cpu_ms)
      event.cpu_ms = std::min(event.cpu_ms, (*budget.cpu_ms - cpu_ms) / 1000 * 1000);
    if (!budget.sum) return true;
    const std::int64_t amount = event.call.number.value_or(-1);
    return amount >= 0 && sum + amount <= budget.sum->most;
  }

  static bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  const Capsule& capsule_;
  const std::vector<capsules::Block>& blocks_;
  std::vector<Event> events_;
  std::int64_t denials_ = 0;
};

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

  TaskId activate(const Bytes& file, const crypto::SigningKey& holder) {
    const auto opened = capsules::open(file, *authority->root());
    INFO((opened ? "" : to_line(opened.error())));
    REQUIRE(opened.code() == Code::ok);
    authority::ActivationRequest request{file, authority->challenge(), {}, {}};
    request.proof =
        holder.sign(crypto::statement::kActivation,
                    authority::activation_statement(fleet.fleet, fleet.node, fleet.incarnation,
                                                    opened->chain(), request.challenge, {}));
    const auto activation = authority->activate(request, tools, clock.now());
    INFO((activation ? "" : to_line(activation.error())));
    REQUIRE(activation.code() == Code::ok);
    return activation->task;
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
  std::size_t calls = 0, allowed = 0;
  std::map<Code, std::size_t> denied;
};

struct Chain {
  Bytes file;
  std::vector<capsules::Block> blocks;
  crypto::SigningKey holder;  // the last
};

Chain random_chain(Dice& dice, const Fleet& fleet, const Capsule& capsule) {
  std::map<std::string, std::string> tools;
  for (const Grant& grant : capsule.grants) tools[grant.id] = grant.tool;
  Chain chain{
      sign_capsule(fleet, capsule), {}, crypto::SigningKey::from_seed(fleet.holder_key.seed())};
  const std::int64_t depth = dice.one_in(3) ? 0 : dice.roll(1, 8);
  for (std::int64_t i = 0; i < depth; ++i) {
    crypto::SigningKey next = crypto::SigningKey::generate();
    capsules::Block block;
    block.holder = next.public_key();
    block.grants = i == 0 ? random_kept(dice, capsule.grants, tools)
                          : random_kept(dice, chain.blocks.back().grants, tools);
    if (block.grants.empty()) break;
    for (const KeptGrant& kept : block.grants) tools[kept.id] = tools.at(kept.parent);
    chain.file = narrow_capsule(chain.file, block, chain.holder);
    chain.blocks.push_back(std::move(block));
    chain.holder = std::move(next);
  }
  return chain;
}

// One capsule: rounds of queued calls, decided one by one in one world, together in the other, and
// by the model.
class Trial {
 public:
  Trial(Dice& dice, Fleet& fleet, Totals& totals)
      : dice_(dice),
        totals_(totals),
        capsule_(random_capsule(dice, fleet)),
        chain_(random_chain(dice, fleet, capsule_)),
        single_(fleet),
        queued_(fleet),
        task_(single_.activate(chain_.file, chain_.holder)),
        twin_(queued_.activate(chain_.file, chain_.holder)) {}

  void round() {
    std::vector<Call> queue;
    const std::int64_t length = dice_.one_in(10) ? 64 : dice_.roll(1, 8);
    for (std::int64_t i = 0; i < length; ++i) {
      Call call{dice_.of(kTools), dice_.of(kPaths), std::nullopt};
      if (dice_.one_in(2)) call.number = dice_.roll(0, 130);
      queue.push_back(std::move(call));
    }
    decide(queue);
    while (!open_.empty() && !dice_.one_in(4)) settle_last();
    const std::int64_t passed = dice_.roll(0, 900);
    single_.clock.advance_ms(passed);
    queued_.clock.advance_ms(passed);
  }

 private:
  void decide(const std::vector<Call>& queue) {
    std::vector<authority::CallRequest> requests;
    for (const Call& call : queue) {
      requests.push_back(
          {twin_, capsules::Verb::call, call.tool, to_bytes(as_bytes(call.json())), "s"});
    }
    auto together =
        queued_.authority->authorise_batch(requests, queued_.tools, queued_.clock.now());
    REQUIRE(together.size() == queue.size());
    for (std::size_t i = 0; i < queue.size(); ++i) {
      requests[i].task = task_;
      auto alone = single_.authority->authorise(requests[i], single_.tools, single_.clock.now());
      INFO("call " << queue[i].tool << " " << queue[i].json() << " under " << chain_.blocks.size());
      REQUIRE(alone.code() == Code::ok);
      REQUIRE(together[i].code() == Code::ok);
      compare(queue[i], *alone, *together[i]);
    }
  }

  void compare(const Call& call, const authority::Decision& alone,
               const authority::Decision& together) {
    const auto* allowed = std::get_if<authority::Allowed>(&alone);
    const auto* same = std::get_if<authority::Allowed>(&together);
    const bool agreed = model_.decide(call, single_.clock.now().boot_ms);
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
    if (how.state == CallState::interrupted) return;
    event.bytes = how.bytes;
    event.cpu_ms = how.cpu_ms.value_or(event.cpu_ms);
  }

  Dice& dice_;
  Totals& totals_;
  Capsule capsule_;
  Chain chain_;
  World single_, queued_;
  TaskId task_, twin_;
  Model model_{capsule_, chain_.blocks};
  std::vector<CallId> calls_, twins_;  // by the model's number
  std::vector<std::size_t> open_;
};

TEST_CASE("no decision is wider than every block together, alone or in a queue",
          "[authority][R31][R36][R37][R38][R45]") {
  REQUIRE(crypto::initialise().ok());
  Dice dice(20261121);
  Fleet fleet = make_fleet();
  Totals totals;
  while (totals.calls < calls_wanted()) {
    Trial trial(dice, fleet, totals);
    for (int round = 0; round < 12; ++round) trial.round();
  }
  // The test saw every rule at work.
  CHECK(totals.allowed * 20 > totals.calls);
  for (const Code code :
       {Code::tool_not_granted, Code::argument_refused, Code::label_refused, Code::label_conflict,
        Code::after_unmet, Code::idempotency_reused, Code::budget_calls, Code::budget_rate,
        Code::budget_bytes, Code::budget_cpu, Code::budget_sum, Code::task_not_live}) {
    INFO(describe(code).name);
    CHECK(totals.denied[code] > 0);
  }
  std::size_t denied = 0;
  for (const auto& [code, count] : totals.denied) denied += count;
  CHECK(totals.allowed + denied == totals.calls);
}

}  // namespace
}  // namespace taper::testing
