#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "capsules/open.h"
#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/twins.h"
#include "store/audit_verify.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

namespace fs = std::filesystem;
using testing::NodeForTests;

Bytes file_of(const std::string& path) {
  Result<Bytes> bytes = read_file(path, limits::kLogFileBytesMax);
  REQUIRE(bytes.ok());
  return std::move(*bytes);
}

// Activates the capsule and lets the state go, as a process that died would.
TaskId leave_a_live_task(NodeForTests& node, const std::string& capsule_path) {
  const Result<OwnedState> owned = own_state(node.state(), "", SystemClock().now());
  REQUIRE(owned.ok());
  authority::Authority& authority = *owned->authority;
  const Bytes file = file_of(capsule_path);
  const auto opened = capsules::open(file, *authority.root());
  REQUIRE(opened.ok());
  authority::ActivationRequest request;
  request.capsule_file = file;
  request.challenge = authority.challenge();
  request.proof = node.options(capsule_path)
                      .prove(authority::activation_statement(
                          authority.root()->fleet(), node.record().sign, node.record().incarnation,
                          opened->chain(), request.challenge, {}));
  const auto activation =
      authority.activate(request, authority::builtin_tools(), SystemClock().now());
  REQUIRE(activation.ok());
  return activation->task;
}

std::string sample(NodeForTests& node) {
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  capsule.plan.steps = {
      testing::plan_step("a", "file.read", "{\"path\":\"" + node.data() + "/a\"}")};
  return node.sign(capsule);
}

Code run_code(const NodeForTests& node, const std::string& capsule) {
  return run(node.options(capsule)).code();
}

TEST_CASE("A renewed node has its keys and roots, and no authority of before",
          "[tools][R10][R50]") {
  NodeForTests node;
  node.write("a", "hello");
  const std::string capsule = sample(node);
  const TaskId task = leave_a_live_task(node, capsule);
  const Bytes old_record = file_of(node.state() + "/node.pub");

  const Result<Renewed> renewed = node_renew(node.state());
  REQUIRE(renewed.ok());
  CHECK(renewed->ended == 1);
  CHECK(renewed->roots == 1);
  CHECK(renewed->exported);
  CHECK_FALSE(renewed->unread);
  CHECK(renewed->before == node.record().incarnation);
  CHECK(renewed->record.incarnation != node.record().incarnation);
  CHECK(renewed->record.log_key_0 != node.record().log_key_0);
  CHECK(renewed->record.sign == node.record().sign);
  CHECK(renewed->record.seal == node.record().seal);
  CHECK(task_list(node.state())->empty());
  CHECK(run_code(node, capsule) == Code::audience_other);

  // What was: a log that ends the task and verifies, and nothing to act with.
  CHECK_FALSE(fs::exists(renewed->aside + "/keys"));
  CHECK_FALSE(fs::exists(renewed->aside + "/log.seed"));
  CHECK_FALSE(fs::exists(renewed->aside + "/results"));
  CHECK(file_of(renewed->aside + "/node.pub") == old_record);
  const Bytes log = file_of(renewed->aside + "/log.tpa");
  CHECK(store::verify_log(log, {.node = node.record().sign,
                                .incarnation = node.record().incarnation,
                                .log_key_0 = node.record().log_key_0})
            .ok());
  bool ended = false;
  const auto look = [&](const store::LogRecord& record) {
    const bool its = record.body.find(task.hex()) != std::string_view::npos;
    ended = ended || (record.type_name == "terminal" && its);
  };
  CHECK(store::read_log(log, look).ok());
  CHECK(ended);
  CHECK_FALSE(fs::exists(node.state() + ".renewing"));
  CHECK_FALSE(fs::exists(node.state() + "/renews"));
}

TEST_CASE("A store put back alone is refused, and the node renewed beside it",
          "[tools][R10][R50]") {
  NodeForTests node;
  node.write("a", "hello");
  const std::string capsule = sample(node);
  fs::copy_file(node.state() + "/data.mdb", node.folder() + "/data.mdb");
  REQUIRE(run(node.options(capsule)).ok());
  fs::copy_file(node.folder() + "/data.mdb", node.state() + "/data.mdb",
                fs::copy_options::overwrite_existing);
  REQUIRE(run_code(node, capsule) == Code::store_rolled_back);

  const Result<Renewed> renewed = node_renew(node.state());
  REQUIRE(renewed.ok());
  REQUIRE(renewed->unread);
  CHECK(renewed->unread->code() == Code::store_rolled_back);
  CHECK(renewed->roots == 0);
  CHECK_FALSE(renewed->exported);
  CHECK_FALSE(fs::exists(renewed->aside + "/keys"));
  REQUIRE(import_root(node.state(), node.root_file(), std::nullopt).ok());
  CHECK(run_code(node, capsule) == Code::audience_other);
}

TEST_CASE("A renewal that was broken off leaves the old state or the new one", "[tools][R50]") {
  NodeForTests node;
  const std::string beside = node.state() + ".renewing";
  // While the new state was built: it is built anew.
  fs::create_directory(beside);
  const std::string mark = node.record().incarnation.hex();
  REQUIRE(create_file(beside + "/renews", as_bytes(mark), 0600).ok());
  REQUIRE(create_file(beside + "/node.pub", file_of(node.state() + "/node.pub"), 0600).ok());
  const Result<Renewed> first = node_renew(node.state());
  REQUIRE(first.ok());
  CHECK_FALSE(first->finished_earlier);
  CHECK_FALSE(fs::exists(beside));

  // After both changed places: what was is put aside, and nothing is renewed twice. A mark that
  // the last step left is no sign of a state that is being built.
  const Bytes record = file_of(node.state() + "/node.pub");
  fs::rename(first->aside, beside);
  REQUIRE(create_file(node.state() + "/renews", as_bytes(mark), 0600).ok());
  const Result<Renewed> second = node_renew(node.state());
  REQUIRE(second.ok());
  CHECK(second->finished_earlier);
  CHECK(second->exported);
  CHECK(second->aside == first->aside);
  CHECK(file_of(node.state() + "/node.pub") == record);
  CHECK_FALSE(fs::exists(node.state() + "/renews"));

  REQUIRE(create_file(node.state() + "/renews", as_bytes(mark), 0600).ok());
  const Result<Renewed> third = node_renew(node.state());
  REQUIRE(third.ok());
  CHECK_FALSE(fs::exists(third->aside + "/renews"));
}

TEST_CASE("What is beside its place is owned by nobody", "[tools][R10][R50]") {
  NodeForTests node;
  node.write("a", "hello");
  const std::string capsule = sample(node);
  const std::string beside = node.state() + ".renewing";
  const std::string mark = node.record().incarnation.hex();
  fs::copy(node.state(), beside, fs::copy_options::recursive);
  const Result<Renewed> renewed = node_renew(node.state());
  CHECK(renewed.code() == Code::file_exists);
  // As a crash leaves it that comes when both have changed places.
  fs::rename(beside, node.folder() + "/old");
  const Result<Renewed> first = node_renew(node.state());
  REQUIRE(first.ok());
  fs::remove_all(first->aside);
  fs::rename(node.folder() + "/old", beside);
  REQUIRE(create_file(node.state() + "/renews", as_bytes(mark), 0600).ok());

  RunOptions options = node.options(capsule);
  options.state = beside;
  CHECK(run(options).code() == Code::not_a_state);
  fs::create_directory_symlink(beside, node.folder() + "/other");
  options.state = node.folder() + "/other";
  CHECK(run(options).code() == Code::not_a_state);
  CHECK(import_root(beside, node.root_file(), std::nullopt).code() == Code::not_a_state);
  CHECK(node_renew(beside).code() == Code::not_a_state);
  CHECK(task_list(beside).ok());
  CHECK(node_renew(node.state())->finished_earlier);
}

TEST_CASE("What a renewal did not leave beside the state is not removed", "[tools][R50]") {
  NodeForTests node;
  const std::string beside = node.state() + ".renewing";
  const auto refused = [&](const std::string& kept) {
    CHECK(node_renew(node.state()).code() == Code::file_exists);
    CHECK(fs::exists(beside + kept));
    CHECK(node_record(node.state())->incarnation == node.record().incarnation);
    fs::remove_all(beside);
  };
  SECTION("another node") {
    REQUIRE(node_init(beside, "other").ok());
    // Even where the state seems to have replaced it.
    const std::string mark = node_record(beside)->incarnation.hex();
    REQUIRE(create_file(node.state() + "/renews", as_bytes(mark), 0600).ok());
    refused("/keys/node.key");
  }
  SECTION("a copy of this one") {
    fs::copy(node.state(), beside, fs::copy_options::recursive);
    refused("/keys/node.key");
  }
  SECTION("a state built for another") {
    fs::copy(node.state(), beside, fs::copy_options::recursive);
    const std::string mark = "00112233";
    REQUIRE(create_file(beside + "/renews", as_bytes(mark), 0600).ok());
    refused("/keys/node.key");
  }
  SECTION("a folder of somebody's") {
    fs::create_directory(beside);
    REQUIRE(create_file(beside + "/renews", as_bytes(std::string()), 0600).ok());
    REQUIRE(create_file(beside + "/paper", as_bytes(std::string("work")), 0600).ok());
    refused("/paper");
  }
  SECTION("a file") {
    REQUIRE(create_file(beside, as_bytes(std::string("work")), 0600).ok());
    refused("");
  }
  SECTION("what lies where the old state is to go") {
    const std::string aside =
        node.state() + ".ended-" + node.record().incarnation.hex().substr(0, 16);
    fs::create_directory(aside);
    CHECK(node_renew(node.state()).code() == Code::file_exists);
    CHECK_FALSE(fs::exists(beside));
  }
  SECTION("but what it began with is") {
    fs::create_directory(beside);
    SECTION("empty") {}
    SECTION("half a mark") {
      const std::string mark = node.record().incarnation.hex().substr(0, 5);
      REQUIRE(create_file(beside + "/renews", as_bytes(mark), 0600).ok());
    }
    CHECK(node_renew(node.state()).ok());
  }
}

TEST_CASE("What denied everything is neither dropped nor mended by a renewal",
          "[tools][R50][R67]") {
  NodeForTests node;
  node.write("a", "hello");
  const TaskId task = leave_a_live_task(node, sample(node));
  const std::string policy = node.state() + "/node.toml";
  const auto refused = [&] {
    CHECK(node_renew(node.state()).code() == Code::tool_file_malformed);
    CHECK_FALSE(fs::exists(node.state() + ".renewing"));
    CHECK(task_show(node.state(), task)->state == authority::TaskState::active);
  };
  SECTION("a pipe") {
    REQUIRE(::mkfifo(policy.c_str(), 0600) == 0);
    refused();
  }
  SECTION("what is no policy") {
    REQUIRE(create_file(policy, as_bytes(std::string("deny = 1\n")), 0600).ok());
    refused();
  }
  SECTION("a stranger's") {
    if (::geteuid() != 0) return;
    REQUIRE(
        create_file(policy, as_bytes(std::string("[deny]\ntools = [\"file.read\"]\n")), 0600).ok());
    REQUIRE(::chown(policy.c_str(), 1000, 1000) == 0);
    refused();
  }
  SECTION("a stranger's tool") {
    if (::geteuid() != 0) return;
    node.put_tool("x", "kind = \"command\"\n");
    REQUIRE(::chown((node.state() + "/tools.d/x.toml").c_str(), 1000, 1000) == 0);
    refused();
  }
}

TEST_CASE("A renewal keeps what signed time had proven", "[tools][R50][R55]") {
  NodeForTests node;
  const Result<Bytes> challenge = time_challenge(node.state());
  REQUIRE(challenge.ok());
  REQUIRE(import_time(node.state(), node.answer(*challenge)).ok());
  const std::int64_t before = time_report(node.state())->signed_s;
  REQUIRE(node_renew(node.state()).ok());
  CHECK(time_report(node.state())->signed_s >= before);
}

TEST_CASE("A damaged page ends the store and not the renewal", "[tools][R50]") {
  NodeForTests node;
  fs::resize_file(node.state() + "/data.mdb", 8192);
  const Result<Renewed> renewed = node_renew(node.state());
  REQUIRE(renewed.ok());
  REQUIRE(renewed->unread);
  CHECK(renewed->unread->code() == Code::store_corrupt);
  CHECK(import_root(node.state(), node.root_file(), std::nullopt).ok());
}

// Renews in a child, and kills whatever that one forks at its birth. The code; unset: this process
// may not look into others.
Code renew_with_its_child_killed(const std::string& state, int signal) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(77);
    ::raise(SIGSTOP);
    const Result<Renewed> renewed = node_renew(state);
    const bool said =
        renewed.ok() || renewed.error().detail().field.find("process") != std::string::npos;
    ::_exit(renewed.ok() ? 1 : said && renewed.code() == Code::os_failure ? 2 : 3);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return Code::unset;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL);
  ::ptrace(PTRACE_CONT, child, nullptr, nullptr);
  for (pid_t from = 0; (from = ::waitpid(-1, &status, __WALL)) > 0;) {
    if (from == child && WIFEXITED(status)) break;
    if (!WIFSTOPPED(status)) continue;
    const bool born = from != child && WSTOPSIG(status) == SIGSTOP;
    const bool passed_on = from != child || WSTOPSIG(status) != SIGTRAP;
    const long sent = born ? signal : passed_on ? WSTOPSIG(status) : 0;
    ::ptrace(PTRACE_CONT, from, nullptr, sent);
  }
  const int left = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return left == 1 ? Code::ok : left == 2 ? Code::os_failure : Code::internal;
}

TEST_CASE("A death in a renewal is no sign of damage", "[tools][R50]") {
  NodeForTests node;
  node.write("a", "hello");
  const TaskId task = leave_a_live_task(node, sample(node));
  for (const int signal : {SIGKILL, SIGXCPU}) {
    const Code code = renew_with_its_child_killed(node.state(), signal);
    if (code == Code::unset) return;
    CHECK(code == Code::os_failure);
    CHECK(node_record(node.state())->incarnation == node.record().incarnation);
    CHECK(task_show(node.state(), task)->state == authority::TaskState::active);
    CHECK_FALSE(fs::exists(node.state() + ".renewing"));
  }
  const Result<Renewed> renewed = node_renew(node.state());
  REQUIRE(renewed.ok());
  CHECK(renewed->exported);
  CHECK(renewed->ended == 1);
  CHECK(renewed->roots == 1);
}

TEST_CASE("A twin that nobody can read is no damage of the store", "[tools][R10][R50]") {
  NodeForTests node;
  node.write("a", "hello");
  leave_a_live_task(node, sample(node));
  const std::string twins = node.folder() + "/boot";
  fs::create_directory(twins);
  ::setenv("TAPER_RUNTIME_DIR", twins.c_str(), 1);
  REQUIRE(own_state(node.state(), "", SystemClock().now()).ok());
  const std::string twin = fs::directory_iterator(twins)->path();
  SECTION("garbage") { REQUIRE(replace_file(twin, Bytes(76, 7), 0600).ok()); }
  SECTION("exposed") { fs::permissions(twin, fs::perms::others_read, fs::perm_options::add); }
  SECTION("a folder") {
    fs::remove(twin);
    fs::create_directory(twin);
  }
  CHECK(own_state(node.state(), "", SystemClock().now()).code() == Code::twin_unfit);
  const Result<Renewed> renewed = node_renew(node.state());
  ::setenv("TAPER_RUNTIME_DIR", "", 1);
  REQUIRE(renewed.ok());
  CHECK_FALSE(renewed->unread);
  CHECK(renewed->exported);
  CHECK(renewed->roots == 1);
  CHECK(renewed->ended == 1);
  CHECK(task_list(node.state())->empty());
}

// In a child, whose mounts are its own. 0: refused with everything as it was; 77: it may not mount.
int renew_a_mount_point(const std::string& state) {
  if (::unshare(CLONE_NEWNS) != 0) return 77;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (::mount(state.c_str(), state.c_str(), nullptr, MS_BIND, nullptr) != 0) return 77;
  if (node_renew(state).code() != Code::os_failure) return 1;
  return fs::exists(state + ".renewing") ? 2 : 0;
}

TEST_CASE("A state that is a mount point is refused before anything ends", "[tools][R50]") {
  NodeForTests node;
  node.write("a", "hello");
  const TaskId task = leave_a_live_task(node, sample(node));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(renew_a_mount_point(node.state()));
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) return;
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(task_show(node.state(), task)->state == authority::TaskState::active);
}

// Where the twins of `state` lie with these in the environment.
std::string twins_with(const std::string& state, const char* chosen, const char* session) {
  if (chosen != nullptr) ::setenv("TAPER_RUNTIME_DIR", chosen, 1);
  if (chosen == nullptr) ::unsetenv("TAPER_RUNTIME_DIR");
  ::setenv("XDG_RUNTIME_DIR", session, 1);
  std::string found = twins_of(state);
  ::setenv("TAPER_RUNTIME_DIR", "", 1);
  return found;
}

TEST_CASE("A directory of twins is the owner's, and nobody else's to write", "[tools][R10]") {
  NodeForTests node;
  const std::string chosen = node.folder() + "/boot";
  CHECK(twins_with(node.state(), chosen.c_str(), "").empty());
  fs::create_directory(chosen);
  CHECK(twins_with(node.state(), chosen.c_str(), "") == chosen);
  fs::permissions(chosen, fs::perms::all);
  CHECK(twins_with(node.state(), chosen.c_str(), "").empty());
  fs::permissions(chosen, fs::perms::owner_all);
  fs::create_directory_symlink(chosen, chosen + "-link");
  CHECK(twins_with(node.state(), (chosen + "-link").c_str(), "").empty());
  if (::geteuid() == 0) {
    REQUIRE(::chown(chosen.c_str(), 1000, 1000) == 0);
    CHECK(twins_with(node.state(), chosen.c_str(), "").empty());
  } else if (!fs::exists("/run/taper")) {
    CHECK(twins_with(node.state(), nullptr, node.folder().c_str()) == node.folder() + "/taper");
    CHECK(twins_with(node.state(), nullptr, "").empty());
  }
}

TEST_CASE("Beside a renewal that is under way a second one touches nothing", "[tools][R50]") {
  NodeForTests node;
  node.write("a", "hello");
  const TaskId task = leave_a_live_task(node, sample(node));
  const std::string beside = node.state() + ".renewing";
  const std::string lock = node.state() + ".renew-lock";
  SECTION("held by another") {
    const std::string mark = node.record().incarnation.hex();
    fs::create_directory(beside);
    REQUIRE(create_file(beside + "/renews", as_bytes(mark), 0600).ok());
    REQUIRE(create_file(node.state() + "/renews", as_bytes(mark), 0600).ok());
    Fd held(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::flock(held.get(), LOCK_EX | LOCK_NB) == 0);
    const Result<Renewed> second = node_renew(node.state());
    CHECK(second.code() == Code::state_locked);
    CHECK(second.error().detail().got == "one is under way");
    CHECK(fs::exists(beside + "/renews"));
    CHECK(fs::exists(node.state() + "/renews"));
    CHECK(node_record(node.state())->incarnation == node.record().incarnation);
    CHECK(task_show(node.state(), task)->state == authority::TaskState::active);
    held.reset();
    CHECK(node_renew(node.state()).ok());
    CHECK(fs::exists(lock));
    CHECK(node_renew(node.state()).ok());
    return;
  }
  SECTION("a link") { fs::create_symlink(node.data() + "/a", lock); }
  SECTION("a folder") { fs::create_directory(lock); }
  SECTION("a pipe") { REQUIRE(::mkfifo(lock.c_str(), 0600) == 0); }
  SECTION("everybody's") { REQUIRE(create_file(lock, {}, 0666).ok()); }
  SECTION("a stranger's") {
    if (::geteuid() != 0) return;
    REQUIRE(create_file(lock, {}, 0600).ok());
    REQUIRE(::chown(lock.c_str(), 1000, 1000) == 0);
  }
  CHECK(node_renew(node.state()).code() == Code::file_exists);
  CHECK(task_show(node.state(), task)->state == authority::TaskState::active);
}

TEST_CASE("A state that somebody owns is not renewed", "[tools][R50]") {
  NodeForTests node;
  const Result<OwnedState> owned = own_state(node.state(), "", SystemClock().now());
  REQUIRE(owned.ok());
  CHECK(node_renew(node.state()).code() == Code::state_locked);
  CHECK_FALSE(fs::exists(node.state() + ".renewing"));
}

}  // namespace
}  // namespace taper::broker
