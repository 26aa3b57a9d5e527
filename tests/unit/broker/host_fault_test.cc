// What the host cannot do is told as the host's: it is no answer about the task, and spends
// nothing.
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/support/child_process.h"
#include "tests/support/small_disk.h"
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

TEST_CASE("a call that the host had no room for never ran, and is made by the next run",
          "[broker][host][R52]") {
  NodeForTests node;
  node.write("x", "y");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "time.now", .paths = {}, .any = {}}),
                    node.grant({.tool = "file.append",
                                .paths = {"path"},
                                .any = {"content"},
                                .calls = 9,
                                .effect = capsules::Effect::write})};
  SECTION("a call without an id") {}
  SECTION("one that bears an id") { capsule.grants[1].idempotency = "content"; }
  capsule.end_on.failure = true;
  const std::string args = R"({"content":"once","path":")" + node.data() + "/x\"}";
  capsule.plan.steps = {plan_step("now", "time.now", "{}"), plan_step("add", "file.append", args)};
  const std::string file = node.sign(capsule);
  RunOptions options = node.options(file);
  std::optional<NoDescriptors> short_of;
  std::vector<std::string> told;
  options.on_step = [&](const StepReport& step) {
    told.push_back(step.id + ":" + step.outcome + ":" + std::to_string(describe(step.code).number));
    if (step.id == "now") short_of.emplace();
  };
  const Code refused = run(options).code();
  short_of.reset();
  CHECK(refused == Code::sandbox_setup);
  CHECK(told == std::vector<std::string>{"now:done:1", "add:failed:701"});
  const auto tasks = must(task_list(node.state()));
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0].state == TaskState::active);
  const RunReport report = must(run(node.options(file)));
  CHECK(report.resumed);
  CHECK(report.state == TaskState::completed);
  CHECK(node.read("x") == "yonce");
}

TEST_CASE("nor did one whose cell could not be made, and no step is tried again or left out for it",
          "[broker][host][R52]") {
  NodeForTests node;
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "time.now", .paths = {}, .any = {}}),
                    node.grant({.tool = "file.list", .paths = {"path"}, .any = {}, .calls = 1})};
  capsule.grants[1].verbs.push_back(capsules::Verb::retry);
  capsules::Step step = plan_step("list", "file.list", R"({"path":")" + node.data() + "\"}");
  SECTION("a step that ends the plan") {}
  SECTION("one without which it goes on") { step.on_error = capsules::OnError::carry_on; }
  SECTION("one that is tried again") {
    step.on_error = capsules::OnError::retry;
    step.retries = 3;
    step.backoff_ms = 1;
  }
  capsule.plan.steps = {plan_step("now", "time.now", "{}"), step};
  const std::string file = node.sign(capsule);
  RunOptions options = node.options(file);
  std::optional<FewDescriptors> short_of;
  std::vector<std::string> told;
  options.on_step = [&](const StepReport& report) {
    told.push_back(report.id + ":" + report.outcome + ":" +
                   std::to_string(describe(report.code).number));
    if (report.id == "now") short_of.emplace(spawner_process(), 1);  // that of the order
  };
  const Code refused = run(options).code();
  if (!short_of->looked) return;
  short_of.reset();
  CHECK(refused == Code::sandbox_setup);
  CHECK(told == std::vector<std::string>{"now:done:1", "list:failed:701"});
  const auto tasks = must(task_list(node.state()));
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0].state == TaskState::active);
  const RunReport report = must(run(node.options(file)));
  CHECK(report.resumed);
  CHECK(report.state == TaskState::completed);
}

TEST_CASE("an agent whose cell could not be made is started by the next run",
          "[broker][host][agent][R52]") {
  NodeForTests node;
  node.put_tool("planner", "kind = \"agent\"\nargv = [\"/usr/bin/true\"]\nfiles = []\n");
  capsules::Capsule capsule = node.capsule();
  capsule.entry = capsules::EntryKind::agent;
  capsule.plan = {};
  capsule.grants = {node.grant({.tool = "time.now", .paths = {}, .any = {}})};
  capsule.agent_entry = {.program = "planner",
                         .digest = must(tools_list(node.state())).at("planner").digest,
                         .cell = {}};
  RunOptions options = node.options(node.sign(capsule));
  std::optional<FewDescriptors> short_of;
  const auto prove = options.prove;
  options.prove = [&](ByteSpan statement) {
    const pid_t spawner = spawner_process();
    testing::pause_ms(500);        // it sets itself up
    short_of.emplace(spawner, 3);  // those of the order
    return prove(statement);
  };
  const Code refused = run(options).code();
  if (!short_of->looked) return;
  short_of.reset();
  CHECK(refused == Code::sandbox_setup);
  const auto tasks = must(task_list(node.state()));
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0].state == TaskState::active);
}

// Takes away the host's folder of results, or gives it back.
void set_results(const NodeForTests& node, bool usable) {
  const std::string results = node.state() + "/results";
  std::filesystem::remove_all(results);
  if (!usable) std::ofstream(results) << "no folder";
}

// One effect, which tools count where no store knows of it. The host keeps nothing, or what
// the tool printed is of no use.
struct Paying {
  NodeForTests node;
  capsules::Capsule capsule;
  explicit Paying(const std::string& script, const std::string& output = "text") {
    node.put_tool("pay", "kind = \"command\"\neffect = \"write\"\noutput = \"" + output +
                             "\"\nargv = [\"/bin/sh\", \"-c\", \"echo paid >> $0/ledger; " +
                             script +
                             "\", {arg = \"where\"}]\n[input]\nwhere = {type = \"path\"}\n");
    ::chmod(node.data().c_str(), 0777);
    capsule = node.capsule();
    capsule.grants = {node.grant(
        {.tool = "pay", .paths = {}, .any = {}, .calls = 9, .effect = capsules::Effect::write})};
    capsule.grants[0].args = {
        {.name = "where", .optional = false, .all = {capsules::Under{node.data()}}}};
    capsule.grants[0].verbs.push_back(capsules::Verb::retry);
    capsules::Step step = plan_step("pay", "pay", "{\"where\":\"" + node.data() + "\"}", {},
                                    capsules::OnError::retry);
    step.retries = 3;
    step.backoff_ms = 1;
    capsule.plan.steps = {step, plan_step("more", "pay", step.args)};
  }
  std::size_t paid() const {
    const std::string ledger = node.read("ledger");
    return static_cast<std::size_t>(std::ranges::count(ledger, '\n'));
  }
};

TEST_CASE("an effect whose result cannot be kept is not had again", "[broker][host][R38][R52]") {
  Paying plan("echo receipt");
  const std::string file = plan.node.sign(plan.capsule);
  RunOptions options = plan.node.options(file);
  std::vector<std::string> told;
  options.on_step = [&](const StepReport& step) { told.push_back(step.id + ":" + step.outcome); };
  const auto prove = options.prove;
  options.prove = [&](ByteSpan statement) {  // after the state was taken and swept
    set_results(plan.node, false);
    return prove(statement);
  };
  const Result<RunReport> broken = run(options);
  CHECK(exit_code(broken.code()) == 5);
  CHECK(broken.code() == Code::os_failure);
  CHECK(told == std::vector<std::string>{"pay:interrupted"});
  CHECK(plan.paid() == 1);
  const auto tasks = must(task_list(plan.node.state()));
  REQUIRE(tasks.size() == 1);
  const authority::TaskView task = must(task_show(plan.node.state(), tasks[0].task));
  CHECK(task.state == TaskState::active);
  REQUIRE(task.calls.size() == 1);
  CHECK(task.calls[0].state == authority::CallState::interrupted);
  CHECK(task.calls[0].code == Code::os_failure);
  // On a disk that keeps again the plan ends there: somebody has to look.
  set_results(plan.node, true);
  const RunReport report = must(run(plan.node.options(file)));
  CHECK(report.resumed);
  CHECK(report.steps.at(0).code == Code::call_interrupted);
  CHECK(report.state == TaskState::failed);
  CHECK(plan.paid() == 1);
}

TEST_CASE("nor is one that fills the disk of the results", "[broker][host][R38]") {
  Paying plan("s=xx; for i in 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0; do s=$s$s; done; echo $s");
  const std::string results = plan.node.state() + "/results";
  REQUIRE(::mkdir(results.c_str(), 0700) == 0);
  const RunOptions options = plan.node.options(plan.node.sign(plan.capsule));
  testing::ChildProcess child([&] {
    if (!testing::enter_small_disk(results, 1)) return 100;
    return static_cast<int>(describe(run(options).code()).number % 100);
  });
  CHECK(child.wait() == 1);  // 801
  CHECK(plan.paid() == 1);
}

TEST_CASE("a read whose result cannot be kept is read again", "[broker][host][R52]") {
  NodeForTests node;
  node.write("in.txt", "hello");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  capsule.plan.steps = {
      plan_step("read", "file.read", "{\"path\":\"" + node.data() + "/in.txt\"}")};
  const std::string file = node.sign(capsule);
  RunOptions options = node.options(file);
  const auto prove = options.prove;
  options.prove = [&](ByteSpan statement) {
    set_results(node, false);
    return prove(statement);
  };
  CHECK(run(options).code() == Code::os_failure);
  set_results(node, true);
  CHECK(must(run(node.options(file))).state == TaskState::completed);
}

// Reads, then writes what was read; `between` happens when the read was told.
struct Copying {
  NodeForTests node;
  std::string file;
  Copying() {
    node.write("in.txt", "hello");
    capsules::Capsule capsule = node.capsule();
    capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}}),
                      node.grant({.tool = "file.write",
                                  .paths = {"path"},
                                  .any = {"content"},
                                  .effect = capsules::Effect::write})};
    const std::string data = node.data();
    capsule.plan.steps = {
        plan_step("read", "file.read", "{\"path\":\"" + data + "/in.txt\"}"),
        plan_step("write", "file.write",
                  R"({"content":{"$step":"read","at":"/text"},"path":")" + data + "/out.txt\"}",
                  {"read"}, capsules::OnError::carry_on)};
    file = node.sign(capsule);
  }
  Result<RunReport> run_with(const std::function<void()>& between) const {
    RunOptions options = node.options(file);
    options.on_step = [&](const StepReport& step) {
      if (step.id == "read") between();
    };
    return run(options);
  }
  std::string result_file() const {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(node.state() + "/results"))
      if (entry.is_regular_file()) return entry.path();
    return "";
  }
};

TEST_CASE("no step goes on from a result that was changed on the disk", "[broker][host][R50]") {
  const Copying plan;
  std::string path, kept;
  const auto forge = [&] {
    path = plan.result_file();
    kept = as_text(must(read_file(path, limits::kResultBytesMax)));
    std::string forged = kept;
    std::ofstream(path) << forged.replace(forged.find("hello"), 5, "moved");
  };
  CHECK(plan.run_with(forge).code() == Code::store_corrupt);
  CHECK(plan.node.read("out.txt").empty());
  // Nor in the task's next life, which has only the disk.
  CHECK(plan.run_with([] {}).code() == Code::store_corrupt);
  CHECK(plan.node.read("out.txt").empty());
  std::ofstream(path) << kept;
  CHECK(must(plan.run_with([] {})).state == TaskState::completed);
  CHECK(plan.node.read("out.txt") == "hello");
}

TEST_CASE("a result that the host cannot read now fails no step", "[broker][host]") {
  const Copying plan;
  std::optional<NoDescriptors> short_of;
  const Code refused = plan.run_with([&] { short_of.emplace(); }).code();
  short_of.reset();
  CHECK(refused == Code::os_failure);
  CHECK(must(plan.run_with([] {})).steps.at(1).outcome == "done");
  CHECK(plan.node.read("out.txt") == "hello");
}

TEST_CASE("an effect whose output is of no use is not had again", "[broker][host][R38]") {
  const auto ends = [](const Paying& plan, const RunReport& report, Code code) {
    INFO(to_line(report.steps.at(0).error) << report.steps[0].err);
    CHECK(report.steps[0].outcome == "failed");
    CHECK(report.steps[0].code == code);
    CHECK(report.reason == authority::EndReason::failure);
    CHECK(plan.paid() == 1);
  };
  SECTION("no JSON where some was promised") {
    Paying plan("echo no json", "json");
    ends(plan, must(run(plan.node.options(plan.node.sign(plan.capsule)))),
         Code::tool_output_malformed);
  }
  SECTION("more than a result may hold") {
    // Two million bytes, each of which is six in JSON.
    Paying plan(
        "s=$(printf '\\\\001'); for i in 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1; do s=$s$s; "
        "done; printf %s $s");
    ends(plan, must(run(plan.node.options(plan.node.sign(plan.capsule)))), Code::output_cap);
  }
  SECTION("a tool that only reads is tried again") {
    Paying plan("echo no json", "json");
    std::ifstream tool(plan.node.state() + "/tools.d/pay.toml");
    std::string text{std::istreambuf_iterator<char>(tool), {}};
    plan.node.put_tool("pay", text.replace(text.find("\"write\""), 7, "\"read\""));
    plan.capsule.grants[0].effect = capsules::Effect::read;
    const RunReport report = must(run(plan.node.options(plan.node.sign(plan.capsule))));
    CHECK(report.steps.size() == 5);
  }
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
