// The decision by itself, for what an authority refuses before it comes to a call.
#include "runtime/authority/decide.h"

#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::LiveTask;
using authority::Question;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

// The task as the authority has it in memory, once its holder has proved itself.
LiveTask live_task(Node& node, const TaskId& id, const Bytes& file) {
  std::optional<LiveTask> task;
  std::optional<authority::Branch> branch;
  const Status done = node.store->read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(const auto record, authority::read_task(txn, id));
    REQUIRE(record);
    auto capsule = capsules::open(file, *node.authority->root());
    REQUIRE(capsule.code() == Code::ok);
    branch.emplace(*capsule);
    task.emplace(id, *record, std::move(capsule).value());
    TAPER_CHECK(load_task(txn, *task));
    return load_branch(txn, *task, *branch, node.clock.now());
  });
  REQUIRE(done.ok());
  REQUIRE(compile_profiles(*branch, node.tools, {}).ok());
  task->attach(std::move(*branch));
  return std::move(*task);
}

TEST_CASE("each call needs the tier of its capsule, whatever was admitted",
          "[authority][R25][R57]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  const LiveTask task = live_task(node, node.activate(file)->task, file);
  const authority::CallRequest request{task.id,     task.record.chain,         capsules::Verb::call,
                                       "file.read", to_bytes(as_bytes(kRead)), "step"};
  const auto arguments = capsules::parse_arguments(request.arguments);
  REQUIRE(arguments.code() == Code::ok);
  const authority::TimeState time;
  authority::NodeFacts facts = node.facts();
  const auto ruling = [&] {
    return decide(task, {facts, time, kNowS}, request, arguments, node.tools, node.clock.now());
  };
  REQUIRE(task.root().min_tier == capsules::Tier::t2);
  CHECK(ruling().failed == Question::none);
  for (const capsules::Tier tier : {capsules::Tier::unset, capsules::Tier::t1}) {
    facts.tier = tier;
    const authority::Ruling refused = ruling();
    CHECK(refused.failed == Question::node_policy);
    REQUIRE(refused.error);
    CHECK(refused.error->code() == Code::tier_unreachable);
  }
}

}  // namespace
}  // namespace taper::testing
