#include <catch2/catch.hpp>
#include <filesystem>

#include "capsules/open.h"
#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/owned_state.h"
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
  const std::string mark = "unfinished";
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

TEST_CASE("A state that somebody owns is not renewed", "[tools][R50]") {
  NodeForTests node;
  const Result<OwnedState> owned = own_state(node.state(), "", SystemClock().now());
  REQUIRE(owned.ok());
  CHECK(node_renew(node.state()).code() == Code::state_locked);
  CHECK_FALSE(fs::exists(node.state() + ".renewing"));
}

}  // namespace
}  // namespace taper::broker
