// What commands do while a daemon owns the state: they ask it, and say what they always say.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/run_through.h"
#include "store/audit_verify.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::EndReason;
using authority::TaskState;
using testing::ChildProcess;
using testing::NodeForTests;
using testing::pause_ms;
using testing::plan_step;

std::string odd_seconds() {
  static int count = 0;
  return std::to_string(4'000'000 + ::getpid() * 10 % 1'000'000 + ++count);
}

struct Beside {
  NodeForTests node;
  std::optional<ChildProcess> daemon;
  std::string seconds = odd_seconds();

  Beside() {
    node.write("in.txt", "from the daemon");
    node.put_tool("sleep",
                  "kind = \"command\"\neffect = \"read\"\noutput = \"text\"\n"
                  "argv = [\"/usr/bin/sleep\", \"" +
                      seconds + "\"]\n");
    start();
  }
  void start() {
    daemon.emplace([this] { return serve({.state = node.state()}).ok() ? 0 : 1; });
    for (int i = 0; i < 500 && !answers(); ++i) pause_ms(10);
    REQUIRE(answers());
  }
  bool answers() const {
    return ask_owner(node.state(), {.verb = ControlVerb::show}).code() == Code::ok;
  }

  capsules::Capsule reading() {
    capsules::Capsule capsule = node.capsule();
    capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
    capsule.plan.steps = {
        plan_step("read", "file.read", R"({"path":")" + node.data() + "/in.txt\"}"),
        plan_step("deny", "file.read", R"({"path":"/etc/passwd"})", {},
                  capsules::OnError::carry_on)};
    return capsule;
  }
  capsules::Capsule sleeping() {
    capsules::Capsule capsule = node.capsule();
    capsule.grants = {node.grant({.tool = "sleep", .paths = {}, .any = {}})};
    capsule.plan.steps = {plan_step("sleep", "sleep", "{}"), plan_step("more", "sleep", "{}")};
    return capsule;
  }
  TaskState state_of(const TaskId& task) const {
    const auto shown = task_show(node.state(), task);
    return shown.ok() ? shown->state : TaskState::unset;
  }
  TaskState await_end(const TaskId& task) const {
    for (int i = 0; i < 1000 && !authority::is_terminal(state_of(task)); ++i) pause_ms(10);
    return state_of(task);
  }
  // The task that sleeps.
  TaskId await_call() const {
    for (int i = 0; i < 1000; ++i, pause_ms(10)) {
      const auto tasks = task_list(node.state());
      if (!tasks.ok() || tasks->empty()) continue;
      for (const auto& task : *tasks) {
        const auto shown = task_show(node.state(), task.task);
        if (!shown.ok()) continue;
        for (const authority::PastCall& call : shown->calls)
          if (call.step == "sleep" && call.state == authority::CallState::authorised)
            return task.task;
      }
    }
    FAIL("no call");
    return {};
  }
};

RunReport whole(Result<RunReport> report) {
  INFO((report.ok() ? "" : to_line(report.error())));
  REQUIRE(report.ok());
  return std::move(report).value();
}

TEST_CASE("a run beside the daemon tells what a run tells", "[broker][R55]") {
  Beside beside;
  RunOptions options = beside.node.options(beside.node.sign(beside.reading()));
  std::vector<std::string> told;
  options.on_step = [&told](const StepReport& step) { told.push_back(step.id + step.verdict); };
  const RunReport report = whole(run(options));
  CHECK(told == std::vector<std::string>{"readallow", "denydeny"});
  CHECK(report.state == TaskState::completed);
  CHECK(report.reason == EndReason::completion);
  CHECK(report.code == Code::ok);
  CHECK_FALSE(report.resumed);
  REQUIRE(report.steps.size() == 2);
  CHECK(report.steps[0].outcome == "done");
  CHECK(report.steps[0].result.find("from the daemon") != std::string::npos);
  CHECK(report.steps[1].code == Code::argument_refused);
  CHECK(report.steps[1].error.detail().field == "path");
  CHECK(why(beside.node.state(), report.steps[1].decision).ok());
  CHECK(beside.state_of(report.task) == TaskState::completed);
  CHECK(run(options).code() == Code::activations_spent);
  const auto log = audit_export(beside.node.state(), crypto::random_id<Nonce>());
  REQUIRE(log.ok());
  CHECK(store::verify_log(*log, {.node = beside.node.record().sign,
                                 .incarnation = beside.node.record().incarnation,
                                 .log_key_0 = beside.node.record().log_key_0,
                                 .nonce = std::nullopt})
            .ok());
}

TEST_CASE("the daemon activates nothing without the holder's proof", "[broker][R3]") {
  Beside beside;
  const std::string file = beside.node.sign(beside.reading());
  RunOptions options = beside.node.options(file);
  options.prove = [](ByteSpan) { return crypto::Signature{}; };
  CHECK(run(options).code() == Code::proof_wrong);
  // Of another challenge, of none, and of one that was used.
  const auto talk = ControlTalk::with_owner(beside.node.state());
  REQUIRE(talk.ok());
  ControlRequest request{.verb = ControlVerb::run,
                         .file = *read_file(file, limits::kCapsuleBytesMax)};
  REQUIRE(talk->send(request).ok());
  CHECK(talk->expect<RunBegun>().code() == Code::proof_wrong);
  CHECK(task_list(beside.node.state())->empty());
  CHECK(run(beside.node.options(beside.node.folder() + "/agent.key")).code() ==
        Code::envelope_malformed);
  CHECK(whole(run(beside.node.options(file))).state == TaskState::completed);
  // Nor looks it at a tool, or at an agent's program.
  const auto stranger_needs_proof = [&beside](const capsules::Capsule& capsule) {
    RunOptions stranger = beside.node.options(beside.node.sign(capsule));
    CHECK(run(stranger).code() == Code::program_unfit);
    stranger.prove = [](ByteSpan) { return crypto::Signature{}; };
    CHECK(run(stranger).code() == Code::proof_wrong);
  };
  capsules::Capsule gone = beside.reading();
  gone.serial += 1;
  gone.entry = capsules::EntryKind::agent;
  gone.plan = {};
  gone.agent_entry = {"lost", crypto::hash({}), {}};
  beside.node.put_tool("lost", "kind = \"agent\"\nargv = [\"/nowhere/lost\"]\n");
  stranger_needs_proof(gone);
  gone = beside.node.capsule();
  gone.grants = {beside.node.grant({.tool = "gone", .paths = {}, .any = {}})};
  gone.plan.steps = {plan_step("gone", "gone", "{}")};
  beside.node.put_tool("gone",
                       "kind = \"command\"\neffect = \"read\"\noutput = \"text\"\n"
                       "argv = [\"/nowhere/gone\"]\n");
  stranger_needs_proof(gone);
}

TEST_CASE("no tool of a run beside the daemon is shown the holder's keys", "[broker][R24]") {
  Beside beside;
  capsules::Capsule capsule = beside.reading();
  const std::string mine = beside.node.folder() + "/mine";
  REQUIRE(std::filesystem::create_directory(mine));
  capsule.grants[0].args[0].all = {capsules::Under{mine}};
  RunOptions options = beside.node.options(beside.node.sign(capsule));
  std::filesystem::copy(options.holder_key_path, mine + "/other.key");
  CHECK(run(options).code() == Code::ok);
  capsule.serial += 1000;
  options = beside.node.options(beside.node.sign(capsule));
  options.holder_key_path = mine + "/other.key";
  CHECK(run(options).code() == Code::tree_refused);
  CHECK(task_list(beside.node.state())->size() == 1);
}

TEST_CASE("runs beside each other, one for each task", "[broker][R8]") {
  Beside beside;
  const std::string slow = beside.node.sign(beside.sleeping());
  ChildProcess sleeper([&] {
    const auto report = run(beside.node.options(slow));
    return report.ok() && report->reason == EndReason::cancelled ? 0 : 1;
  });
  const TaskId task = beside.await_call();
  const Result<RunReport> twice = run(beside.node.options(slow));
  CHECK(twice.code() == Code::run_under_way);
  CHECK(twice.error().detail().field == "task " + task.hex());
  CHECK(whole(run(beside.node.options(beside.node.sign(beside.reading())))).state ==
        TaskState::completed);
  CHECK(beside.state_of(task) == TaskState::active);
  CHECK(task_cancel(beside.node.state(), task).ok());
  CHECK(sleeper.wait() == 0);
  CHECK(testing::processes_with(beside.seconds) == 0);
}

TEST_CASE("Ctrl-C cancels the task that the daemon runs", "[broker][ends]") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  Beside beside;
  const std::string file = beside.node.sign(beside.sleeping());
  const pid_t runner = ::getpid();
  ChildProcess presser([&] {
    beside.await_call();
    return ::kill(runner, signal);
  });
  const RunReport report = whole(run(beside.node.options(file)));
  CHECK(presser.wait() == 0);
  CHECK(report.state == TaskState::cancelled);
  CHECK(report.code == Code::cancelled);
  REQUIRE(report.steps.size() == 2);
  CHECK(report.steps[0].outcome == "killed");
  CHECK(report.steps[1].verdict == "skipped");
  CHECK(beside.answers());
}

TEST_CASE("Ctrl-C before the owner answers ends the run at once", "[broker][ends]") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  NodeForTests node;
  capsules::Capsule capsule = node.capsule();
  const RunOptions options = node.options(node.sign(capsule));
  const auto address = ControlAddress::of(node.state());
  REQUIRE(address.ok());
  const Fd listening(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, address->path().c_str(), sizeof(name.sun_path) - 1);
  REQUIRE(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0);
  REQUIRE(::listen(listening.get(), 1) == 0);
  const pid_t runner = ::getpid();
  // It answers the challenge and nothing else, and sees that its peer goes.
  ChildProcess owner([&] {
    const Fd peer(::accept(listening.get(), nullptr, nullptr));
    Bytes buffer(limits::kControlMessageBytesMax);
    if (::recv(peer.get(), buffer.data(), buffer.size(), 0) <= 0) return 1;
    const Bytes challenge = encode(ControlAnswer(ControlChallenge{}));
    if (::send(peer.get(), challenge.data(), challenge.size(), 0) < 0) return 2;
    if (::recv(peer.get(), buffer.data(), buffer.size(), 0) <= 0) return 3;
    ::kill(runner, signal);
    return ::recv(peer.get(), buffer.data(), buffer.size(), 0) == 0 ? 0 : 4;
  });
  {
    const auto talk = ControlTalk::with_owner(node.state());
    REQUIRE(talk.ok());
    const auto report = run_through(*talk, options, Bytes(10, 1));
    CHECK(report.code() == Code::control_unreachable);
    CHECK(report.error().detail().got == "an interrupt before it came");
  }
  CHECK(owner.wait() == 0);
}

TEST_CASE("a run that was given up before it was begun is not begun", "[broker][ends]") {
  const bool stays = GENERATE(false, true);
  Beside beside;
  const RunOptions options = beside.node.options(beside.node.sign(beside.sleeping()));
  const Bytes file = *read_file(options.capsule_path, limits::kCapsuleBytesMax);
  const authority::NodeRecord record = beside.node.record();
  std::optional<ControlTalk> talk = ControlTalk::with_owner(beside.node.state()).value();
  REQUIRE(talk->send({.verb = ControlVerb::challenge}).ok());
  const auto given = talk->expect<ControlChallenge>();
  REQUIRE(given.ok());
  REQUIRE(::kill(beside.daemon->pid(), SIGSTOP) == 0);
  ControlRequest request{.verb = ControlVerb::run, .file = file, .challenge = given->challenge};
  request.proof = options.prove(authority::activation_statement(
      given->fleet, record.sign, record.incarnation, capsules::read_untrusted(file, {})->chain,
      given->challenge, {}));
  REQUIRE(talk->send(request).ok());
  if (!stays) talk.reset();
  REQUIRE(::kill(beside.daemon->pid(), SIGCONT) == 0);
  if (stays) CHECK(talk->expect<RunBegun>().ok());
  CHECK(beside.answers());
  pause_ms(200);
  CHECK(task_list(beside.node.state())->size() == (stays ? 1 : 0));
}

TEST_CASE("a command that is killed leaves its task to the daemon", "[broker][ends]") {
  Beside beside;
  const std::string file = beside.node.sign(beside.sleeping());
  ChildProcess runner([&] { return run(beside.node.options(file)).ok() ? 0 : 1; });
  const TaskId task = beside.await_call();
  runner.kill_now();
  runner.wait();
  pause_ms(100);
  CHECK(beside.state_of(task) == TaskState::active);
  CHECK(testing::processes_with(beside.seconds) > 0);
  CHECK(task_cancel(beside.node.state(), task).ok());
  CHECK(beside.await_end(task) == TaskState::cancelled);
}

TEST_CASE("a run whose daemon goes names its task, which the next run takes up",
          "[broker][ends][R51]") {
  const int signal = GENERATE(SIGKILL, SIGTERM);
  Beside beside;
  capsules::Capsule capsule = beside.sleeping();
  capsule.grants.push_back(beside.node.grant({.tool = "file.read", .paths = {"path"}, .any = {}}));
  capsule.plan.steps = {
      plan_step("read", "file.read", R"({"path":")" + beside.node.data() + "/in.txt\"}"),
      plan_step("sleep", "sleep", "{}")};
  const std::string file = beside.node.sign(capsule);
  ChildProcess runner([&] {
    const auto report = run(beside.node.options(file));
    const bool named = !report.ok() && report.error().detail().field.starts_with("task ");
    const Code code = signal == SIGKILL ? Code::control_unreachable : Code::owner_stopping;
    return named && report.code() == code ? 0 : 1;
  });
  const TaskId task = beside.await_call();
  REQUIRE(::kill(beside.daemon->pid(), signal) == 0);
  CHECK(runner.wait() == 0);
  CHECK(beside.daemon->wait() == (signal == SIGKILL ? 128 + SIGKILL : 0));
  CHECK(testing::wait_until_fewer(beside.seconds, 0) == 0);
  CHECK(beside.state_of(task) == TaskState::active);
  beside.start();
  ChildProcess again([&] {
    const auto report = run(beside.node.options(file));
    if (!report.ok() || !report->resumed || report->task != task) return 1;
    // What was done is not made again; what was cut off only reads, so it is.
    if (report->steps[0].outcome != "done") return 2;
    return report->steps[1].outcome == "killed" ? 0 : 3 + static_cast<int>(report->reason);
  });
  CHECK(beside.await_call() == task);
  CHECK(task_cancel(beside.node.state(), task).ok());
  CHECK(again.wait() == 0);
}

TEST_CASE("a root is taken in by the daemon, and what rests on it no more ends", "[broker]") {
  Beside beside;
  const std::string file = beside.node.sign(beside.sleeping());
  ChildProcess runner([&] {
    const auto report = run(beside.node.options(file));
    return report.ok() && report->reason == EndReason::revocation ? 0 : 1;
  });
  const TaskId task = beside.await_call();
  CHECK(import_root(beside.node.state(), Bytes(10, 1), {}).code() == Code::envelope_malformed);
  CHECK_FALSE(import_root(beside.node.state(), Bytes(limits::kRootBytesMax + 1, 1), {}).ok());
  CHECK(import_root(beside.node.state(), beside.node.next_root_file(), Hash{}).code() ==
        Code::fleet_pinned);
  const auto imported = import_root(beside.node.state(), beside.node.next_root_file(), {});
  REQUIRE(imported.ok());
  CHECK(imported->version == 2);
  CHECK_FALSE(imported->first);
  CHECK(runner.wait() == 0);
  CHECK(beside.await_end(task) == TaskState::revoked);
  CHECK(testing::processes_with(beside.seconds) == 0);
}

TEST_CASE("the daemon counts reads of kept results", "[broker][R39]") {
  Beside beside;
  const crypto::SigningKey reader = crypto::SigningKey::generate();
  const crypto::SigningKey stranger = crypto::SigningKey::generate();
  beside.node.write("in.txt", std::string(3 * limits::kControlPartBytes, 'x'));
  capsules::Capsule capsule = beside.reading();
  capsule.result = {{Hash{crypto::key_id(reader.public_key()).bytes}}, 3'600'000, 2};
  const TaskId task = whole(run(beside.node.options(beside.node.sign(capsule)))).task;
  const auto query = [&](const crypto::SigningKey& key) {
    return ResultQuery{.state = beside.node.state(),
                       .task = task,
                       .step = "read",
                       .reader = key.public_key(),
                       .prove = [&key](ByteSpan statement) {
                         return key.sign(crypto::statement::kResultRead, statement);
                       }};
  };
  CHECK(task_result(query(stranger)).code() == Code::result_refused);
  // No room: nothing is counted.
  ResultQuery full = query(reader);
  full.prepare = [](std::size_t) { return Status(Error(Code::store_full)); };
  CHECK(task_result(full).code() == Code::store_full);
  ResultQuery roomy = query(reader);
  std::size_t room = 0;
  roomy.prepare = [&room](std::size_t bytes) {
    room = bytes;
    return success();
  };
  const auto first = task_result(roomy);
  REQUIRE(first.ok());
  CHECK(first->reads_left == 1);
  CHECK(room == first->json.size());
  CHECK(first->json.size() > 3 * limits::kControlPartBytes);
  const auto last = task_result(query(reader));
  REQUIRE(last.ok());
  CHECK(last->json == first->json);
  CHECK(last->reads_left == 0);
  CHECK(erase_read_result(beside.node.state(), task, *last).ok());
  CHECK(beside.node.kept_results() == 0);
  CHECK(task_result(query(reader)).code() == Code::result_refused);
}

TEST_CASE("SIGHUP is a reload, and kills no daemon", "[broker]") {
  Beside beside;
  REQUIRE(::kill(beside.daemon->pid(), SIGTERM) == 0);
  REQUIRE(beside.daemon->wait() == 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = beside.node.folder() + "/notify";
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const Fd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  REQUIRE(::setsockopt(manager.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
  const auto heard = [&] {
    char text[64];
    const ssize_t length = ::recv(manager.get(), text, sizeof(text), 0);
    return std::string(text, length > 0 ? static_cast<std::size_t>(length) : 0);
  };
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  beside.start();
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(heard() == "READY=1");
  REQUIRE(::kill(beside.daemon->pid(), SIGHUP) == 0);
  CHECK(heard() == "RELOADING=1");
  CHECK(heard() == "READY=1");
  CHECK(whole(run(beside.node.options(beside.node.sign(beside.reading())))).state ==
        TaskState::completed);
  REQUIRE(::kill(beside.daemon->pid(), SIGTERM) == 0);
  CHECK(heard() == "STOPPING=1");
}

}  // namespace
}  // namespace taper::broker
