// A real MCP server in its cell, behind the real helper. tests/unit/upstream has the protocol.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

#include "crypto/crypto.h"
#include "runtime/sandbox/ask_upstream.h"
#include "tests/support/permit_for_tests.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {
namespace {

using authority::PermitFacts;
using testing::boot_ms;
using testing::built_program;
using testing::permit_for_tests;
using testing::wait_reports;

const std::string kServers = std::string(TAPER_SOURCE_DIR) + "/tests/unit/upstream";
constexpr auto kPython = "/usr/bin/python3";

std::vector<std::string> fake(const std::string& mode) {
  return {kPython, kServers + "/fake_server.py", "2025-11-25", mode};
}

std::string text(const RunReport& report, const std::string& name) {
  for (const Field& field : report.result.fields)
    if (field.name == name) return std::get<std::string>(field.value);
  return to_line(report.error);
}

UpstreamAnswer asked(const std::string& mode) {
  const auto answer =
      ask_upstream(built_program("taper-spawnd"), {fake(mode), "2025-11-25", {kServers}, {}});
  INFO((answer.ok() ? "" : to_line(answer.error())));
  REQUIRE(answer.ok());
  return *answer;
}

struct Bench {
  explicit Bench(const std::string& server_mode) : mode(server_mode) {
    REQUIRE(program.ok());
    // The pinned tool is the only one of the list.
    pinned = asked("ok").definitions;
    pinned = pinned.substr(1, pinned.size() - 2);
  }

  PermitFacts facts(const std::string& arguments) const {
    PermitFacts facts;
    facts.task = task;
    facts.call = crypto::random_id<CallId>();
    facts.tool = "fake.echo";
    facts.kind = authority::ToolKind::upstream;
    facts.argv = fake(mode);
    facts.program = program->hash();
    facts.trees = {{kServers, true, false, true}};
    facts.deadline_boot_ms = deadline;
    facts.inputs = {{"ask", "call"},    {"name", "echo"},      {"arguments", arguments},
                    {"pinned", pinned}, {"era", "2025-11-25"}, {"timeout_ms", std::int64_t{5000}}};
    return facts;
  }
  RunReport run(const std::string& arguments = R"({"text":"a"})") const {
    REQUIRE(spawner->run(permit_for_tests(facts(arguments)), &*program).ok());
    return std::move(wait_reports(*spawner)[0]);
  }

  std::string mode;
  std::unique_ptr<Spawner> spawner = testing::launch_spawner();
  Result<Program> program = Program::load(kPython);
  std::string pinned;
  TaskId task = crypto::random_id<TaskId>();
  std::int64_t deadline = boot_ms() + 20'000;
};

}  // namespace

TEST_CASE("a server in a cell is asked for its tools and called", "[sandbox]") {
  const UpstreamAnswer answer = asked("ok");
  CHECK(answer.definitions.find(R"("name":"echo")") != std::string::npos);
  CHECK(answer.version == "2025-11-25");
  const Bench bench("ok");
  for (const char* arguments :
       {R"({"text":"a"})", R"({"big":123456789012345678901234567890,"text":"é\n"})"}) {
    const RunReport report = bench.run(arguments);
    INFO(to_line(report.error));
    CHECK(report.end == RunEnd::done);
    CHECK(text(report, "result").find("content") != std::string::npos);
  }
  CHECK(bench.spawner->cells_alive(bench.task) == 1);
}

TEST_CASE("a server that changed is not called", "[sandbox][R18]") {
  Bench bench("ok");
  bench.pinned.insert(bench.pinned.find("Says") + 4, " nearly");
  const RunReport report = bench.run();
  CHECK(report.end == RunEnd::failed);
  CHECK(report.error.code() == Code::upstream_drift);
  CHECK(report.error.detail().field == "description");
  CHECK(testing::eventually(5000, [&] {
    (void)bench.spawner->poll();
    return bench.spawner->cells_alive(bench.task) == 0;
  }));
}

TEST_CASE("a server that tries what its sandbox forbids is a violation", "[sandbox][R53]") {
  const Bench bench("ok");
  const std::string inspect = built_program("hostile_inspect");
  PermitFacts facts = bench.facts("{}");
  facts.argv = {inspect, "forbidden"};
  const auto program = Program::load(inspect);
  REQUIRE(program.ok());
  facts.program = program->hash();
  REQUIRE(bench.spawner->run(permit_for_tests(facts), &*program).ok());
  CHECK(wait_reports(*bench.spawner)[0].end == RunEnd::violation);
}

TEST_CASE("a program that is no server is told so", "[sandbox]") {
  const auto asked_of = [](std::vector<std::string> argv) {
    return ask_upstream(built_program("taper-spawnd"), {std::move(argv), "auto", {}, {}});
  };
  const auto silent = asked_of({"/bin/true"});
  CHECK(silent.code() == Code::upstream_broken);
  const auto noisy = asked_of({"/bin/echo", "welcome"});
  CHECK(noisy.code() == Code::upstream_broken);
}

}  // namespace taper::sandbox
