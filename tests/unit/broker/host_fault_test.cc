// What the host cannot do is told as the host's: it is no answer about the task, and spends
// nothing.
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "tests/unit/broker/broker_life.h"

namespace taper::broker {
namespace {

using authority::TaskState;
using testing::NodeForTests;
using testing::plan_step;

constexpr const char* kTrue = R"(
kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/true"]
)";

// No descriptor can be opened any more.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit none{3, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("a host short of descriptors denies nothing", "[broker][host]") {
  NodeForTests node;
  node.put_tool("true", kTrue);
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "true", .paths = {}, .any = {}}),
                    node.grant({.tool = "time.now", .paths = {}, .any = {}})};
  capsule.end_on.denials = 1;
  capsule.activations = 3;
  capsule.plan.steps = {plan_step("now", "time.now", "{}"),
                        plan_step("true", "true", "{}", {}, capsules::OnError::carry_on)};
  const std::string file = node.sign(capsule);
  RunOptions options = node.options(file);
  std::optional<NoDescriptors> short_of;
  options.on_step = [&](const StepReport& step) {
    if (step.id == "now") short_of.emplace();
  };
  const Code refused = run(options).code();
  short_of.reset();
  CHECK(refused == Code::os_failure);
  const auto tasks = must(task_list(node.state()));
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0].state == TaskState::active);
  CHECK(tasks[0].denials == 0);
  const RunReport report = must(run(node.options(file)));
  CHECK(report.resumed);
  CHECK(report.state == TaskState::completed);
}

TEST_CASE("a tool whose file went bad is missing", "[broker][host][R18]") {
  NodeForTests node;
  node.put_tool("true", kTrue);
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "true", .paths = {}, .any = {}}),
                    node.grant({.tool = "time.now", .paths = {}, .any = {}})};
  capsule.plan.steps = {plan_step("now", "time.now", "{}"), plan_step("true", "true", "{}")};
  RunOptions options = node.options(node.sign(capsule));
  std::string bad;
  SECTION("it is no tool file any more") { bad = "kind = 1"; }
  SECTION("it is too large") { bad = kTrue + std::string(limits::kToolFileBytesMax, '#'); }
  options.on_step = [&](const StepReport& step) {
    if (step.id == "now") node.put_tool("true", bad);
  };
  const RunReport report = must(run(options));
  CHECK(report.steps.at(1).code == Code::tool_missing);
  CHECK(report.state == TaskState::failed);
}

}  // namespace
}  // namespace taper::broker
