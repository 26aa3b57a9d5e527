// The cell of an MCP server, with a stand-in for the helper that speaks with it: hostile_upstream
// does what the called tool's name says.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/sandbox/ask_upstream.h"
#include "runtime/sandbox/builtin/message.h"
#include "tests/support/permit_for_tests.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {
namespace {

using authority::CallSecret;
using authority::PermitFacts;
using testing::boot_ms;
using testing::built_program;
using testing::permit_for_tests;
using testing::ScratchDirectory;
using testing::text_of;
using testing::wait_reports;

void copy_program(const std::string& from, const std::string& to) {
  std::filesystem::copy_file(from, to);
  REQUIRE(::chmod(to.c_str(), 0755) == 0);
}

// A spawner whose folder has the stand-in under the helper's name, and one server's program.
struct Bench {
  explicit Bench(const std::string& program = built_program("hostile_upstream")) {
    REQUIRE(crypto::initialise().ok());
    copy_program(built_program("taper-spawnd"), spawnd());
    copy_program(built_program("hostile_upstream"), folder.path() + "/taper-upstream");
    auto launched = Spawner::launch(spawnd());
    REQUIRE(launched.ok());
    spawner = std::move(*launched);
    auto loaded = Program::load(program);
    REQUIRE(loaded.ok());
    server = std::move(*loaded);
  }
  std::string spawnd() const { return folder.path() + "/taper-spawnd"; }

  PermitFacts facts(const std::string& name, const std::string& arguments = "{}") const {
    PermitFacts facts;
    facts.task = task;
    facts.call = crypto::random_id<CallId>();
    facts.tool = "server." + name;
    facts.kind = authority::ToolKind::upstream;
    facts.argv = {built_program("hostile_upstream"), "attack"};
    facts.program = server->hash();
    facts.deadline_boot_ms = deadline;
    facts.inputs = {{"ask", "call"},  {"name", name},        {"arguments", arguments},
                    {"pinned", "{}"}, {"era", "2025-11-25"}, {"timeout_ms", std::int64_t{5000}}};
    return facts;
  }

  void start(PermitFacts facts, std::vector<CallSecret> secrets = {}) const {
    const Status started =
        spawner->run(permit_for_tests(std::move(facts), std::move(secrets)), &*server);
    INFO((started.ok() ? "" : to_line(started.error())));
    REQUIRE(started.ok());
  }
  RunReport run(PermitFacts facts, std::vector<CallSecret> secrets = {}) const {
    start(std::move(facts), std::move(secrets));
    return std::move(wait_reports(*spawner)[0]);
  }
  RunReport run(const std::string& name, const std::string& arguments = "{}") const {
    return run(facts(name, arguments));
  }

  ScratchDirectory folder;
  std::unique_ptr<Spawner> spawner;
  std::optional<Program> server;
  TaskId task = crypto::random_id<TaskId>();
  std::int64_t deadline = boot_ms() + 20'000;
};

std::string result(const RunReport& report) {
  for (const Field& field : report.result.fields)
    if (field.name == "result") return std::get<std::string>(field.value);
  return to_line(report.error);
}

bool broke(const RunReport& report, const std::string& field) {
  INFO(to_line(report.error));
  CHECK_FALSE(report.cpu_ms);
  return report.end == RunEnd::failed && report.error.code() == Code::upstream_broken &&
         report.error.detail().field == field;
}

std::vector<CallSecret> token(const std::string& value) {
  std::vector<CallSecret> secrets;
  secrets.push_back({"token", crypto::Secret(value.size())});
  std::ranges::copy(value, secrets[0].value.bytes().begin());
  return secrets;
}

// A server's script, as it was hashed, and calls of a server that has it.
struct Scripted {
  Scripted() {
    const Fd open(::open(script.c_str(), O_RDONLY | O_CLOEXEC));
    copy = Program::copy(open.get(), script, limits::kUpstreamEntryBytesMax);
    REQUIRE(copy.ok());
    facts = bench.facts("read", script);
    facts.entry = {{script, copy->hash()}};
    facts.trees = {{files.path(), true, false, true}};
  }
  std::string run(const std::string& name) const {
    PermitFacts next = facts;
    next.call = crypto::random_id<CallId>();
    next.inputs[1].value = name;
    REQUIRE(bench.spawner->run(permit_for_tests(std::move(next)), &*bench.server, {&*copy}).ok());
    return result(wait_reports(*bench.spawner)[0]);
  }
  std::string read(const std::string& path) {
    const authority::InputValue before = std::exchange(facts.inputs[2], {"arguments", path});
    std::string found = run("read");
    facts.inputs[2] = before;
    return found;
  }
  void overwrite(const std::string& text) const { files.add("server.js", text, 0755); }

  Bench bench;
  ScratchDirectory files;
  std::string script = files.add("server.js", "first", 0755);
  Result<Program> copy;
  PermitFacts facts;
};

}  // namespace

TEST_CASE("a server's helper gets what the permit says and nothing else", "[sandbox][cell][R53]") {
  const Bench bench;
  const RunReport inputs = bench.run("inputs", R"({"a":1})");
  CHECK(inputs.end == RunEnd::done);
  CHECK_FALSE(inputs.cpu_ms);  // it says nine
  CHECK(result(inputs) ==
        R"(arguments={"a":1};ask=call;era=2025-11-25;name=inputs;pinned={};timeout_ms=5000;)");
  CHECK(result(bench.run("argv")) ==
        "taper-upstream " + built_program("hostile_upstream") + " attack ");
  CHECK(result(bench.run("descriptors")) == "0 1 2 3 4 ");
}

TEST_CASE("a server's cell is one task's and one grant's, and lives on", "[sandbox][cell][R53]") {
  const Bench bench;
  CHECK(result(bench.run("count")) == "1");
  CHECK(result(bench.run("count")) == "2");
  const auto other = [&](const std::function<void(PermitFacts&)>& change) {
    PermitFacts facts = bench.facts("count");
    change(facts);
    return result(bench.run(std::move(facts)));
  };
  CHECK(other([](PermitFacts& facts) { facts.grant = 7; }) == "1");
  CHECK(other([](PermitFacts& facts) { facts.task = crypto::random_id<TaskId>(); }) == "1");
  CHECK(result(bench.run("count")) == "3");
  // The time that a call's own clock reading makes of the same end.
  CHECK(other([](PermitFacts& facts) { facts.deadline_boot_ms -= 900; }) == "4");
  CHECK(other([](PermitFacts& facts) { facts.deadline_boot_ms -= 5000; }) == "1");
}

TEST_CASE("a changed server is another cell", "[sandbox][cell][R53]") {
  const Bench bench;
  CHECK(result(bench.run("count")) == "1");
  PermitFacts facts = bench.facts("count");
  SECTION("words") { facts.argv.emplace_back("more"); }
  SECTION("declaration") { facts.digest.bytes[0] = 1; }
  SECTION("what it may write") { facts.writes = true; }
  SECTION("what it sees") { facts.trees = {{"/usr", true, false, true}}; }
  const PermitFacts again = facts;
  CHECK(result(bench.run(std::move(facts))) == "1");
  PermitFacts next = bench.facts("count");
  next.argv = again.argv;
  next.digest = again.digest;
  next.writes = again.writes;
  next.trees = again.trees;
  CHECK(result(bench.run(std::move(next))) == "2");
  // The cell that nobody asked any more is gone.
  CHECK(testing::eventually(5000, [&] {
    (void)bench.spawner->poll();
    return bench.spawner->cells_alive(bench.task) == 1;
  }));
}

TEST_CASE("a server whose program is not the permit's is refused", "[sandbox][cell][R53]") {
  const Bench bench;
  PermitFacts facts = bench.facts("count");
  facts.program.bytes[0] ^= 1;
  CHECK(bench.spawner->run(permit_for_tests(facts), &*bench.server).code() == Code::program_unfit);
}

TEST_CASE("the interpreters that servers are written for start in a cell", "[sandbox][cell]") {
  const auto said = [](const std::string& path, const std::string& option,
                       const std::string& script) {
    if (::access(path.c_str(), X_OK) != 0) return std::string("fine\n");  // not on this host
    const Bench bench(path);
    PermitFacts facts = bench.facts("server");
    facts.argv = {path, option, script};
    return result(bench.run(std::move(facts)));
  };
  // Threads, a child, native modules, a random number, a temporary file.
  CHECK(said("/usr/bin/python3", "-c",
             "import ctypes, json, random, ssl, tempfile, threading\n"
             "t = threading.Thread(target=lambda: tempfile.TemporaryFile().write(b'x'))\n"
             "t.start(); t.join(); random.SystemRandom().random(); print('fine')") == "fine\n");
  CHECK(said("/usr/bin/node", "-e",
             "const {Worker} = require('worker_threads'); require('crypto').randomBytes(8);"
             "require('fs').writeFileSync(require('os').homedir() + '/x', 'x');"
             "new Worker('', {eval: true}).on('exit', () => console.log('fine'))") == "fine\n");
}

TEST_CASE("a server's secrets are in its own cell alone", "[sandbox][cell][R20][R53]") {
  const Bench bench;
  constexpr auto kPath = "/run/secrets/token";
  CHECK(result(bench.run(bench.facts("read", kPath), token("one"))) == "one");
  // Later calls find what the start of the cell was given.
  CHECK(result(bench.run(bench.facts("read", kPath), token("two"))) == "one");
  PermitFacts other = bench.facts("read", kPath);
  other.grant = 1;
  CHECK(result(bench.run(std::move(other), token("two"))) == "two");
  PermitFacts none = bench.facts("read", kPath);
  none.grant = 2;
  CHECK(result(bench.run(std::move(none))) == "ENOENT");
}

TEST_CASE("a server's files may be run and not written, the grant's the other way round",
          "[sandbox][cell][R53]") {
  const Bench bench;
  const ScratchDirectory files;
  const ScratchDirectory granted;
  REQUIRE(::chmod(granted.path().c_str(), 0700) == 0);
  const std::string module = files.path() + "/module";
  copy_program(built_program("hostile_upstream"), module);
  copy_program(built_program("hostile_upstream"), granted.path() + "/data");
  const auto run = [&](const std::string& name, const std::string& path) {
    PermitFacts facts = bench.facts(name, path);
    facts.writes = true;
    facts.trees = {{files.path(), true, false, true}, {granted.path(), true, true}};
    return result(bench.run(std::move(facts)));
  };
  CHECK(run("map", module) == "ok");
  CHECK(run("execute", module) == "ran");
  CHECK(run("write", module) == "EROFS");
  CHECK(run("write", files.path() + "/new") == "EROFS");
  CHECK(run("map", granted.path() + "/data") == "EPERM");
  CHECK(run("execute", granted.path() + "/data") == "EACCES");
  CHECK(run("write", granted.path() + "/new") == "ok");
  // A single file.
  PermitFacts facts = bench.facts("execute", module);
  facts.trees = {{module, false, false, true}};
  CHECK(result(bench.run(std::move(facts))) == "ran");
}

TEST_CASE("a server sees the bytes of its script that were hashed", "[sandbox][cell][R18][R53]") {
  Scripted scripted;
  SECTION("in a tree of its own files") {
    scripted.overwrite("other");  // after it was hashed, before the cell is there
    scripted.files.add("lib.js", "lib");
    REQUIRE(::symlink("lib.js", (scripted.files.path() + "/link").c_str()) == 0);
    CHECK(scripted.run("read") == "first");
    scripted.overwrite("third");
    CHECK(scripted.run("read") == "first");
    CHECK(scripted.run("write") == "EACCES");
    // Nor does what comes to its name, in its place or after it.
    scripted.files.add("next", "other", 0755);
    std::filesystem::rename(scripted.files.path() + "/next", scripted.script);
    CHECK(scripted.run("read") == "first");
    CHECK(std::filesystem::remove(scripted.script));
    CHECK(scripted.run("read") == "first");
    scripted.overwrite("other");
    CHECK(scripted.run("read") == "first");
    // What lies beside it is there as it was.
    CHECK(scripted.read(scripted.files.path() + "/lib.js") == "lib");
    CHECK(scripted.read(scripted.files.path() + "/link") == "lib");
    CHECK(scripted.read(scripted.files.path() + "/none") == "ENOENT");
  }
  SECTION("deep in a tree, with another inside") {
    const std::string inner = scripted.files.path() + "/a/b";
    REQUIRE(std::filesystem::create_directories(inner + "/data"));
    scripted.files.add("a/beside", "beside");
    scripted.files.add("a/b/data/x", "x");
    const std::string deep = scripted.files.add("a/b/server.js", "first", 0755);
    scripted.facts.entry[0].path = deep;
    scripted.facts.inputs[2].value = deep;
    scripted.facts.trees = {{scripted.files.path(), true, false, true}, {inner + "/data", true}};
    CHECK(scripted.run("read") == "first");
    std::filesystem::rename(scripted.files.path() + "/a", scripted.files.path() + "/c");
    REQUIRE(std::filesystem::create_directories(inner));
    scripted.files.add("a/b/server.js", "other", 0755);
    CHECK(scripted.run("read") == "first");
    CHECK(scripted.read(scripted.files.path() + "/a/beside") == "beside");
    CHECK(scripted.read(inner + "/data/x") == "x");
    CHECK(scripted.run("read") == "first");
  }
}

TEST_CASE("a server sees its script as its trees would show it", "[sandbox][cell][R18][R53]") {
  Scripted scripted;
  SECTION("as a file of its own") {
    scripted.facts.trees = {{scripted.script, false, false, true}};
    scripted.overwrite("other");
    CHECK(scripted.run("read") == "first");
  }
  SECTION("where the grant lets it read, it is no program") {
    scripted.facts.trees = {{scripted.files.path(), true}};
    scripted.overwrite("other");
    CHECK(scripted.run("read") == "first");
    CHECK(scripted.run("map") == "EPERM");
  }
  SECTION("what no tree shows is not there") {
    scripted.facts.trees = {{scripted.files.path() + "/none", true}};
    REQUIRE(std::filesystem::create_directory(scripted.files.path() + "/none"));
    CHECK(scripted.run("read") == "ENOENT");
  }
  SECTION("another copy, or none") {
    scripted.facts.entry[0].bytes.bytes[0] ^= 1;
    CHECK(scripted.bench.spawner
              ->run(permit_for_tests(scripted.facts), &*scripted.bench.server, {&*scripted.copy})
              .code() == Code::program_unfit);
    scripted.facts.entry[0].bytes = scripted.copy->hash();
    CHECK(scripted.bench.spawner->run(permit_for_tests(scripted.facts), &*scripted.bench.server)
              .code() == Code::program_unfit);
  }
}

TEST_CASE("an agent sees the bytes of its script that were hashed", "[sandbox][cell][R18][R53]") {
  Scripted scripted;
  Spawner& spawner = *scripted.bench.spawner;
  const Program* program = &*scripted.bench.server;
  copy_program(built_program("hostile_upstream"), scripted.bench.folder.path() + "/taper-agent");
  scripted.facts.kind = authority::ToolKind::agent;
  CHECK(spawner.run_agent(permit_for_tests(scripted.facts), program).code() == Code::program_unfit);
  scripted.overwrite("other");
  auto channel = spawner.run_agent(permit_for_tests(scripted.facts), program, {&*scripted.copy});
  REQUIRE(channel.ok());
  const auto read = [&] {
    const Bytes asked = frame(encode_request(scripted.facts));
    REQUIRE(write_all(channel->get(), "socket", asked).ok());
    RunReport report;
    auto reply = decode_reply(read_request(channel->get()).bytes, authority::ToolKind::upstream);
    REQUIRE(reply.ok());
    report.result = std::move(reply->result);
    return result(report);
  };
  CHECK(read() == "first");
  CHECK(std::filesystem::remove(scripted.script));
  scripted.overwrite("other");
  CHECK(read() == "first");
}

TEST_CASE("a helper that breaks the protocol is ended, and the next call has a new one",
          "[sandbox][cell][R53]") {
  const Bench bench;
  CHECK(result(bench.run("count")) == "1");
  SECTION("not a reply") { CHECK(broke(bench.run("garbage"), "message")); }
  SECTION("too long") { CHECK(broke(bench.run("flood"), "message")); }
  SECTION("a code that is not its own") { CHECK(broke(bench.run("lie"), "message")); }
  SECTION("gone") { CHECK(broke(bench.run("die"), "ended")); }
  SECTION("a forbidden call") { CHECK(bench.run("violation").end == RunEnd::violation); }
  SECTION("drift") {
    const RunReport report = bench.run("drift");
    CHECK(report.end == RunEnd::failed);
    CHECK(report.error.code() == Code::upstream_drift);
    CHECK(report.error.detail().field == "description");
  }
  CHECK(result(bench.run("count")) == "1");
}

TEST_CASE("a call under way tells how far it is, at a rate that cannot hurt", "[sandbox][cell]") {
  const Bench bench;
  const PermitFacts facts = bench.facts("progress");
  bench.start(facts);
  std::vector<ProgressReport> told;
  std::vector<RunReport> reports;
  CHECK(testing::eventually(5000, [&] {
    auto polled = bench.spawner->poll();
    REQUIRE(polled.ok());
    for (ProgressReport& one : bench.spawner->take_progress()) told.push_back(std::move(one));
    for (RunReport& one : *polled) reports.push_back(std::move(one));
    return !reports.empty();
  }));
  REQUIRE(told.size() == 2);
  for (std::size_t i = 0; i < told.size(); ++i) {
    CHECK(told[i].task == bench.task);
    CHECK(told[i].call == facts.call);
    CHECK(told[i].progress.done == static_cast<double>(i));
    CHECK(told[i].progress.message == "far");
  }
  CHECK(result(reports[0]) == "told");
  // Each call has the whole rate.
  for (std::size_t i = 0; i < 2 * limits::kProgressFramesPerS; ++i)
    CHECK(result(bench.run("once")) == "told");
  CHECK(broke(bench.run("progresses"), "message"));
  CHECK(broke(bench.run("infinite"), "message"));
  CHECK(result(bench.run("count")) == "1");
}

TEST_CASE("calls that wait for a server's end are told that they were not begun",
          "[sandbox][cell][R53]") {
  const Bench bench;
  CHECK(result(bench.run("count")) == "1");
  const PermitFacts first = bench.facts(GENERATE("drift", "die", "garbage"));
  const PermitFacts second = bench.facts("count");
  bench.start(first);
  bench.start(second);
  const std::vector<RunReport> reports = wait_reports(*bench.spawner, 2);
  REQUIRE(reports[1].call == second.call);
  CHECK(broke(reports[1], "ended"));
  CHECK(reports[1].error.detail().got == "before the call was begun");
  CHECK(result(bench.run("count")) == "1");
}

TEST_CASE("where all cells are taken, an idle server gives way", "[sandbox][cell][R53]") {
  Bench bench;
  bench.deadline = boot_ms() + 60'000;
  const TaskId other = crypto::random_id<TaskId>();
  const auto count = [&](std::uint32_t grant, const TaskId& task) {
    PermitFacts facts = bench.facts("count");
    facts.grant = grant;
    facts.task = task;
    return result(bench.run(std::move(facts)));
  };
  for (std::uint32_t grant = 0; grant < limits::kCellsMax; ++grant)
    REQUIRE(count(grant, grant < limits::kCellsPerTaskMax ? bench.task : other) == "1");
  CHECK(count(0, crypto::random_id<TaskId>()) == "1");
  CHECK(count(limits::kCellsMax - 1, other) == "2");  // not of those who have fewer
  // A builtin's goes first, and one that answers never.
  PermitFacts listing = testing::builtin_facts("time.now", {});
  listing.task = other;
  REQUIRE(testing::run_call(*bench.spawner, listing).end == RunEnd::done);
  CHECK(count(1, crypto::random_id<TaskId>()) == "1");
  CHECK(count(limits::kCellsPerTaskMax - 1, bench.task) == "2");
}

TEST_CASE("a server's call is over when its time is, whatever its helper does",
          "[sandbox][cell][R53]") {
  const Bench bench;
  CHECK(result(bench.run("count")) == "1");
  PermitFacts facts = bench.facts("hang");
  facts.inputs.back() = {"timeout_ms", std::int64_t{100}};
  const std::int64_t start = boot_ms();
  CHECK(broke(bench.run(std::move(facts)), "timeout"));
  CHECK(boot_ms() - start >= 100 + limits::kUpstreamGraceMs);
  CHECK(boot_ms() - start < 1500 + limits::kUpstreamGraceMs);
  CHECK(result(bench.run("count")) == "1");
}

TEST_CASE("a server's cell is ended by its deadline, its call's cancel and its task's end",
          "[sandbox][cell][R53]") {
  Bench bench;
  SECTION("deadline") {
    bench.deadline = boot_ms() + 300;
    CHECK(bench.run("hang").end == RunEnd::deadline);
  }
  SECTION("cancel") {
    const PermitFacts facts = bench.facts("hang");
    bench.start(facts);
    const PermitFacts waiting = bench.facts("count");
    bench.start(waiting);
    REQUIRE(bench.spawner->kill_call(facts.call).ok());
    const std::vector<RunReport> reports = wait_reports(*bench.spawner, 2);
    CHECK(reports[0].end == RunEnd::killed);
    CHECK(broke(reports[1], "ended"));
  }
  SECTION("cancel of one that waits") {
    PermitFacts facts = bench.facts("hang");
    facts.inputs.back() = {"timeout_ms", std::int64_t{100}};
    bench.start(std::move(facts));
    const PermitFacts waiting = bench.facts("count");
    bench.start(waiting);
    REQUIRE(bench.spawner->kill_call(waiting.call).ok());
    const std::vector<RunReport> reports = wait_reports(*bench.spawner, 2);
    CHECK(reports[0].call == waiting.call);
    CHECK(reports[0].end == RunEnd::killed);
  }
  SECTION("task") {
    bench.start(bench.facts("hang"));
    REQUIRE(bench.spawner->kill_task(bench.task).ok());
    CHECK(wait_reports(*bench.spawner)[0].end == RunEnd::killed);
  }
  CHECK(testing::eventually(5000, [&] {
    (void)bench.spawner->poll();
    return bench.spawner->cells_alive(bench.task) == 0;
  }));
}

TEST_CASE("a server reaches neither memory nor descriptors of its helper", "[sandbox][cell][R53]") {
  const Bench bench;
  CHECK(result(bench.run("server")) ==
        "descriptors 0 1 2 \n"
        "mem ENOENT\n"
        "fd ENOENT\n"
        "environ ENOENT\n"
        "getfd EPERM\n"
        "ptrace killed\n"
        "process_vm_readv killed\n");
}

TEST_CASE("without its helper no server is started", "[sandbox][cell]") {
  Bench bench;
  REQUIRE(::unlink((bench.folder.path() + "/taper-upstream").c_str()) == 0);
  CHECK(bench.spawner->run(permit_for_tests(bench.facts("count")), &*bench.server).code() ==
        Code::program_missing);
  CHECK_FALSE(bench.spawner->has_cells());
}

TEST_CASE("a server is asked for its tools in a cell that is thrown away", "[sandbox][cell]") {
  const Bench bench;
  const std::string program = built_program("hostile_upstream");
  const auto answer = ask_upstream(bench.spawnd(), {{program}, "auto", {}, {}});
  INFO((answer.ok() ? "" : to_line(answer.error())));
  REQUIRE(answer.ok());
  CHECK(answer->definitions.empty());  // the stand-in has none
  CHECK(ask_upstream(bench.spawnd(), {{program}, "auto", {"/absent"}, {}}).code() ==
        Code::tree_missing);
  CHECK(ask_upstream(bench.spawnd(), {{"/absent"}, "auto", {}, {}}).code() == Code::program_unfit);
}

}  // namespace taper::sandbox
