// 64 callers, each a coroutine, at one authority and one spawner with real cells: they queue, are
// decided together as they come, run at the same time, and are broken off and begun anew. The
// effects are lines of a file that the tools themselves write.
#include <poll.h>

#include <catch2/catch.hpp>
#include <coroutine>
#include <random>
#include <set>
#include <sstream>

#include "runtime/broker/outcome.h"
#include "tests/unit/broker/broker_life.h"

namespace taper::broker {
namespace {

using testing::NodeForTests;

constexpr int kCallers = 64;
constexpr int kLives = 4;
constexpr int kDenialsBorne = 3;  // by a caller, before it gives up
constexpr int kWaitMs = 20;

constexpr const char* kSpend = R"(
kind = "command"
effect = "write"
output = "text"
argv = ["/usr/bin/perl", "-e",
        'open F, ">>", $ARGV[0] or die; syswrite F, "$ARGV[1] $ARGV[2]\n"; print "paid"',
        {arg = "path"}, {arg = "id"}, {arg = "amount"}]
[input]
path = {type = "path"}
id = {type = "integer"}
amount = {type = "integer"}
)";
constexpr std::int64_t kPaidBytes = 4;
constexpr std::int64_t kReservedBytes = 100;
constexpr std::int64_t kAmountMost = 90;

// A caller's life; whoever waits stands in a list of the desk.
struct Caller {
  struct promise_type {
    Caller get_return_object() { return Caller{Handle::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  using Handle = std::coroutine_handle<promise_type>;
  explicit Caller(Handle its_handle) : handle(its_handle) {}
  Caller(Caller&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  Caller& operator=(Caller&&) = delete;
  ~Caller() {
    if (handle) handle.destroy();
  }
  Handle handle;
};

class Desk {
 public:
  Desk(const NodeForTests& node, const std::string& file, std::mt19937_64& chance)
      : node_(node), chance_(chance), life_(node, file) {}

  struct Deciding {
    Desk& desk;
    authority::CallRequest request;
    Caller::Handle caller = nullptr;
    std::optional<authority::Decision> decision = std::nullopt;
    bool await_ready() const noexcept { return false; }
    void await_suspend(Caller::Handle handle) {
      caller = handle;
      desk.queue_.push_back(this);
    }
    authority::Decision await_resume() { return std::move(*decision); }
  };
  Deciding decided(std::int64_t id, std::int64_t amount) {
    const std::string arguments = R"({"amount":)" + std::to_string(amount) + R"(,"id":)" +
                                  std::to_string(id) + R"(,"path":")" + node_.data() +
                                  R"(/spent"})";
    return {*this,
            {life_.activation.task, life_.activation.chain, capsules::Verb::call, "spend",
             to_bytes(as_bytes(arguments)), "spend-" + std::to_string(id)}};
  }

  struct Running {
    Desk& desk;
    authority::Permit permit;
    CallId call;
    Caller::Handle caller = nullptr;
    std::optional<sandbox::RunReport> report = std::nullopt;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(Caller::Handle handle) {
      caller = handle;
      call = permit.facts().call;
      if (!desk.life_.spawner->run(std::move(permit), desk.life_.shelf.program("spend")).ok())
        return false;
      desk.running_.emplace(call, this);
      desk.most_running = std::max(desk.most_running, desk.running_.size());
      return true;
    }
    // Empty: it never ran.
    std::optional<sandbox::RunReport> await_resume() { return std::move(report); }
  };
  Running ran(authority::Permit&& permit) { return {*this, std::move(permit), {}}; }

  void settle(const CallId& call, const std::optional<sandbox::RunReport>& report) {
    authority::Outcome outcome =
        report ? outcome_of(*report)
               : outcome_without_run(authority::CallState::failed, Error(Code::internal));
    if (report) outcome.result_bytes = report->out.size();
    REQUIRE(life_.owned.authority->settle(call, outcome, life_.clock.now()).ok());
  }

  // Decides some of those who wait, together, and hears of what ran.
  void turn() {
    std::shuffle(queue_.begin(), queue_.end(), chance_);
    std::uniform_int_distribution<std::size_t> size(0, queue_.size());
    const std::size_t count = queue_.size() == 1 ? 1 : size(chance_);
    const std::vector<Deciding*> chosen(queue_.begin(), queue_.begin() + std::ptrdiff_t(count));
    queue_.erase(queue_.begin(), queue_.begin() + std::ptrdiff_t(count));
    std::vector<authority::CallRequest> requests;
    for (const Deciding* one : chosen) requests.push_back(one->request);
    auto decisions =
        life_.owned.authority->authorise_batch(requests, life_.shelf.tools(), life_.clock.now());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      REQUIRE(decisions[i].ok());
      chosen[i]->decision.emplace(std::move(decisions[i]).value());
      chosen[i]->caller.resume();
    }
    pollfd wait{life_.spawner->wait_fd(), POLLIN, 0};
    if (!running_.empty()) ::poll(&wait, 1, queue_.empty() ? kWaitMs : 0);
    for (sandbox::RunReport& report : must(life_.spawner->poll())) {
      const auto found = running_.extract(report.call);
      if (found.empty()) continue;
      found.mapped()->report = std::move(report);
      found.mapped()->caller.resume();
    }
  }
  bool idle() const { return queue_.empty() && running_.empty(); }
  authority::BudgetLeft left() const {
    const auto shown =
        must(authority::show_task(*life_.owned.store, life_.activation.task, life_.clock.now()));
    return shown.grants.at(0).left;
  }
  std::size_t charged() const {
    return life_.owned.authority->past_calls(life_.activation.task).size();
  }

  std::size_t most_running = 0;

 private:
  const NodeForTests& node_;
  std::mt19937_64& chance_;
  BrokerLife life_;
  std::vector<Deciding*> queue_;
  std::map<CallId, Running*> running_;
};

struct Ids {
  std::int64_t next = 0;
};

Caller caller(Desk& desk, Ids& ids, std::mt19937_64& chance) {
  for (int denials = 0; denials < kDenialsBorne;) {
    const std::int64_t id = ids.next++;
    const std::int64_t amount = std::uniform_int_distribution<std::int64_t>(1, kAmountMost)(chance);
    authority::Decision decision = co_await desk.decided(id, amount);
    auto* allowed = std::get_if<authority::Allowed>(&decision);
    if (allowed == nullptr) {
      ++denials;
      continue;
    }
    const CallId call = allowed->call;
    const std::optional<sandbox::RunReport> report = co_await desk.ran(std::move(allowed->permit));
    desk.settle(call, report);
  }
}

struct Spent {
  std::int64_t lines = 0, sum = 0;
};

// Each id was one decision's: twice in the file, it would have run twice.
Spent spent(const NodeForTests& node) {
  std::istringstream in(node.read("spent"));
  Spent spent;
  std::set<std::int64_t> ids;
  for (std::int64_t id = 0, amount = 0; in >> id >> amount; spent.sum += amount, ++spent.lines)
    CHECK(ids.insert(id).second);
  return spent;
}

TEST_CASE("64 callers at real cells have no effect beyond the budget",
          "[broker][callers][R37][R38][R50]") {
  NodeForTests node;
  node.put_tool("spend", kSpend);
  capsules::Capsule capsule = node.capsule();
  capsule.lease_ttl_ms = capsule.lease_idle_ms = 600'000;
  capsule.end_on = {};
  capsule.end_on.denials = 1'000'000;
  capsule.log_quota_bytes = 1 << 28;
  capsule.grants = {node.grant({.tool = "spend",
                                .paths = {"path"},
                                .any = {"id", "amount"},
                                .effect = capsules::Effect::write})};
  capsule.plan.steps = {testing::plan_step("spend", "spend", "{}")};
  capsules::Budget& budget = capsule.grants[0].budget;
  SECTION("calls") { budget.calls = 300; }
  SECTION("a sum") { budget.sum = capsules::Sum{"amount", 12'000}; }
  SECTION("a rate, no part of which flows in so soon") {
    budget.rate = capsules::Rate{300, limits::kLeaseTtlMaxMs};
  }
  SECTION("bytes and processor time, which those keep who were broken off") {
    capsule.grants[0].cell.output_bytes = kReservedBytes;
    capsule.grants[0].cell.cpu_s = 1;
    budget.calls = 260;
    budget.bytes = 220 * kReservedBytes;
    budget.cpu_ms = 220 * 1'000;
  }
  const std::string file = node.sign(capsule);
  std::mt19937_64 chance(64);
  Ids ids;
  for (int life = 1; life <= kLives; ++life) {
    Desk desk(node, file, chance);
    std::vector<Caller> callers;
    for (int i = 0; i < kCallers; ++i) callers.push_back(caller(desk, ids, chance));
    for (const Caller& one : callers) one.handle.resume();
    const authority::BudgetLeft before = desk.left();
    // All but the last life are broken off while calls run.
    const bool last = life == kLives;
    for (int turns = 0; !desk.idle() && (last || turns < 3); ++turns) desk.turn();
    INFO("life " << life);
    CHECK(desk.idle() == last);
    const Spent now = spent(node);
    const auto most_running = static_cast<std::int64_t>(desk.most_running);
    CHECK(now.lines <= static_cast<std::int64_t>(desk.charged()));
    CHECK(now.lines <= budget.calls.value_or(now.lines));
    CHECK(now.lines <= (budget.rate ? budget.rate->count : now.lines));
    CHECK(now.sum <= (budget.sum ? budget.sum->most : now.sum));
    CHECK(most_running > 1);
    if (budget.bytes) {
      CHECK((most_running - 1) * kReservedBytes < *before.bytes);
      CHECK(most_running * 1'000 <= *before.cpu_ms);
      CHECK(now.lines * kPaidBytes <= *budget.bytes - *desk.left().bytes);
    }
    if (!last) continue;
    CHECK(desk.left().calls.value_or(0) == 0);
    CHECK(desk.left().rate.value_or(0) == 0);
    CHECK(desk.left().sum.value_or(0) < kAmountMost);
  }
}

}  // namespace
}  // namespace taper::broker
