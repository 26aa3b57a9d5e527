// Sealed secrets through whole runs: released to the calls that name them, masked, left nowhere.
#include <sys/prctl.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using capsules::OnError;
using testing::NodeForTests;
using testing::plan_step;

std::string tool(const std::string& argv, const std::string& secrets) {
  return "kind = \"command\"\neffect = \"read\"\noutput = \"text\"\nargv = " + argv +
         "\nsecrets = " + secrets + "\n";
}

std::string fresh_value() {
  REQUIRE(crypto::initialise().ok());
  return "v-" + crypto::random_id<Nonce>().hex();
}

// A capsule whose grants are these tools of the node, pinned; `secrets` by grant.
capsules::Capsule capsule_for(NodeForTests& node,
                              const std::map<std::string, std::vector<std::string>>& grants) {
  capsules::Capsule capsule = node.capsule();
  const auto tools = tools_list(node.state());
  REQUIRE(tools.ok());
  for (const auto& [name, secrets] : grants) {
    capsules::Grant grant = node.grant({.tool = name, .paths = {}, .any = {}});
    grant.digest_kind = capsules::DigestKind::pinned;
    grant.digest = tools->find(name)->second.digest;
    grant.secrets = secrets;
    capsule.grants.push_back(grant);
    capsule.plan.steps.push_back(plan_step(name, name, "{}", {}, OnError::carry_on));
  }
  return capsule;
}

void seal(const NodeForTests& node, capsules::Capsule& capsule,
          const std::map<std::string, std::string>& values) {
  for (const auto& [name, value] : values) capsule.secrets.push_back({name, {}});
  for (capsules::SealedSecret& secret : capsule.secrets) {
    auto box = capsules::seal_secret(capsule, secret.name, as_bytes(values.at(secret.name)),
                                     node.record().seal);
    REQUIRE(box.ok());
    secret.box = std::move(*box);
  }
}

RunReport run_whole(const RunOptions& options) {
  Result<RunReport> report = run(options);
  INFO((report.ok() ? "" : to_line(report.error())));
  REQUIRE(report.ok());
  return std::move(report).value();
}

// The file of the whole folder (state, keys, capsules) that holds the value in some form.
std::string left_in(const std::string& folder, const std::string& value) {
  const std::string base64 = to_base64(as_bytes(value));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const auto bytes = read_file(entry.path(), std::size_t{1} << 28);
    REQUIRE(bytes.ok());
    for (const std::string& form : {value, to_hex(as_bytes(value)), base64})
      if (as_text(*bytes).find(form) != std::string_view::npos) return entry.path();
  }
  return "";
}

}  // namespace

TEST_CASE("a secret reaches the call that names it, and no result or log",
          "[broker][secrets][R12][R24]") {
  NodeForTests node;
  const std::string value = fresh_value();
  node.put_tool("count", tool(R"(["/usr/bin/wc", "-c", "/run/secrets/db"])", R"(["db"])"));
  node.put_tool("print", tool(R"(["/usr/bin/cat", "/run/secrets/db"])", R"(["db"])"));
  node.put_tool("code", tool(R"(["/usr/bin/base64", "/run/secrets/db"])", R"(["db"])"));
  node.put_tool("none", tool(R"(["/usr/bin/cat", "/run/secrets/db"])", "[]"));
  capsules::Capsule capsule =
      capsule_for(node, {{"count", {"db"}}, {"print", {"db"}}, {"code", {"db"}}, {"none", {}}});
  capsule.log_all_arguments = true;
  seal(node, capsule, {{"db", value}});
  const std::string file = node.sign(capsule);
  const RunReport report = run_whole(node.options(file));
  REQUIRE(report.steps.size() == 4);
  CHECK(report.steps[0].id == "code");
  CHECK(report.steps[0].result.find(R"("masked":["db"])") != std::string::npos);
  CHECK(report.steps[1].result ==
        "{\"exit\":0,\"text\":\"" + std::to_string(value.size()) + " /run/secrets/db\\n\"}");
  CHECK(report.steps[2].outcome == "failed");
  CHECK(report.steps[3].result == R"({"exit":0,"text":"[secret db]","masked":["db"]})");
  CHECK(left_in(node.folder(), value).empty());
  const auto log = audit_export(node.state(), std::nullopt);
  REQUIRE(log.ok());
  CHECK(as_text(*log).find(value) == std::string_view::npos);
  CHECK(as_text(*log).find(R"("secrets":["db"])") != std::string_view::npos);
  CHECK(::prctl(PR_GET_DUMPABLE) == 0);
}

TEST_CASE("what a failing command says of its secret is masked", "[broker][secrets][R12][R24]") {
  NodeForTests node;
  const std::string value = fresh_value();
  // Takes the secret for the name of a file that is not there, and says so.
  node.put_tool("fail", tool(R"(["/usr/bin/wc", "--files0-from=/run/secrets/db"])", R"(["db"])"));
  capsules::Capsule capsule = capsule_for(node, {{"fail", {"db"}}});
  seal(node, capsule, {{"db", value}});
  std::string told;
  RunOptions options = node.options(node.sign(capsule));
  options.on_step = [&told](const StepReport& step) { told += step.err + to_line(step.error); };
  const RunReport report = run_whole(options);
  REQUIRE(report.steps.size() == 1);
  CHECK(report.steps[0].outcome == "failed");
  CHECK(report.steps[0].err.find("wc: ") != std::string::npos);
  CHECK(report.steps[0].err.find("[secret db]") != std::string::npos);
  CHECK(report.steps[0].err.find(value) == std::string::npos);
  CHECK(told.find(value) == std::string::npos);
  CHECK(left_in(node.folder(), value).empty());
}

TEST_CASE("two grants of one task have each their own", "[broker][secrets][R20][R24]") {
  NodeForTests node;
  node.put_tool("left", tool(R"(["/usr/bin/find", "/run/secrets", "-type", "f"])", R"(["a"])"));
  node.put_tool("right", tool(R"(["/usr/bin/find", "/run/secrets", "-type", "f"])", R"(["b"])"));
  capsules::Capsule capsule = capsule_for(node, {{"left", {"a"}}, {"right", {"b"}}});
  seal(node, capsule, {{"a", fresh_value()}, {"b", fresh_value()}});
  const RunReport report = run_whole(node.options(node.sign(capsule)));
  REQUIRE(report.steps.size() == 2);
  CHECK(report.steps[0].result == R"({"exit":0,"text":"/run/secrets/a\n"})");
  CHECK(report.steps[1].result == R"({"exit":0,"text":"/run/secrets/b\n"})");
}

TEST_CASE("a secret copied elsewhere is refused and spends nothing",
          "[broker][secrets][R24][R47]") {
  NodeForTests node;
  const std::string value = fresh_value();
  node.put_tool("print", tool(R"(["/usr/bin/cat", "/run/secrets/db"])", R"(["db"])"));
  node.put_tool("other", tool(R"(["/usr/bin/cat", "/run/secrets/db"])", R"(["db"])"));
  capsules::Capsule original = capsule_for(node, {{"print", {"db"}}});
  seal(node, original, {{"db", value}});
  capsules::Capsule copy = original;
  std::string field;
  SECTION("into another capsule") {
    ++copy.serial;
    field = "secrets.db.serial";
  }
  SECTION("to another grant") {
    copy = capsule_for(node, {{"other", {"db"}}});
    copy.serial = original.serial;
    copy.not_after_s = original.not_after_s;
    copy.secrets = original.secrets;
    field = "secrets.db.grants";
  }
  SECTION("to a later end") {
    copy.not_after_s += 1;
    field = "secrets.db.not_after_s";
  }
  SECTION("to another node") {
    const NodeForTests elsewhere;
    copy.secrets.clear();
    seal(elsewhere, copy, {{"db", value}});
    field = "secrets.db.box";
  }
  SECTION("under another name") {
    copy.secrets[0].name = "dc";
    copy.grants[0].secrets = {"dc"};
    field = "secrets.dc.name";
  }
  const std::string file = node.sign(copy);
  const auto refused = run(node.options(file));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.code() == Code::secret_unsealed);
  CHECK(refused.error().detail().field == field);
  const auto tasks = task_list(node.state());
  REQUIRE(tasks.ok());
  CHECK(tasks->empty());
  CHECK(left_in(node.folder(), value).empty());
}

TEST_CASE("without the node's own key its secrets are refused", "[broker][secrets][R47]") {
  NodeForTests node;
  node.put_tool("print", tool(R"(["/usr/bin/cat", "/run/secrets/db"])", R"(["db"])"));
  capsules::Capsule capsule = capsule_for(node, {{"print", {"db"}}});
  seal(node, capsule, {{"db", fresh_value()}});
  const std::string file = node.sign(capsule);
  const std::string key = node.state() + "/keys/seal.key";
  SECTION("gone") { std::filesystem::remove(key); }
  SECTION("open to others") {
    std::filesystem::permissions(key, std::filesystem::perms::group_read,
                                 std::filesystem::perm_options::add);
  }
  SECTION("another's") {
    const NodeForTests elsewhere;
    std::filesystem::copy_file(elsewhere.state() + "/keys/seal.key", key,
                               std::filesystem::copy_options::overwrite_existing);
  }
  const auto refused = run(node.options(file));
  CHECK(refused.code() == Code::secret_unsealed);
  CHECK(task_list(node.state())->empty());
}

}  // namespace taper::broker
