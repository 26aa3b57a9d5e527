#include "tools/taper/answers/simulation.h"

#include <catch2/catch.hpp>

#include "crypto/crypto.h"
#include "tests/support/capsule_maker.h"

namespace taper::tools {
namespace {

const bool kCryptoReady = crypto::initialise().ok();

using capsules::Effect;
using capsules::Grant;

Grant grant(std::string id, std::string tool, Effect effect) {
  return testing::sample_grant(std::move(id), std::move(tool), effect,
                               {{"path", false, {capsules::Under{"/var/log/plant"}}}});
}

struct Simulated {
  capsules::UntrustedCapsule capsule;
  capsules::KnownTools tools = capsules::builtin_known_tools();

  explicit Simulated(std::vector<Grant> grants) {
    REQUIRE(kCryptoReady);
    testing::Fleet fleet = testing::make_fleet();
    capsule.root = testing::sample_capsule(fleet);
    capsule.root.grants = std::move(grants);
    capsule.root.end_on.denials = 1000;
  }
  Simulation begin() const { return Simulation(capsule, tools); }
};

SimulatedCall call(std::string tool, std::optional<std::string> arguments) {
  return {.tool = std::move(tool), .arguments = std::move(arguments), .at = {}};
}
SimulatedCall read_plant() { return call("file.read", R"({"path":"/var/log/plant/a"})"); }

TEST_CASE("What is not known of a call is unknown and never allowed", "[tools][R68]") {
  const Simulated it({grant("read", "file.read", Effect::read), grant("own", "cat", Effect::read)});
  Simulation simulation = it.begin();
  CHECK(simulation.judge(read_plant()).judged == Judged::allow);
  // Only a digest of the arguments; a tool that nobody told of.
  CHECK(simulation.judge(call("file.read", std::nullopt)).judged == Judged::unknown);
  CHECK(simulation.judge(call("cat", R"({"path":"/var/log/plant/a"})")).judged == Judged::unknown);
  // What is refused whatever is not known.
  CHECK(simulation.judge(call("file.write", std::nullopt)).code == Code::tool_not_granted);
  CHECK(simulation.judge(call("cat", R"({"path":"/etc/shadow"})")).code == Code::argument_refused);
  CHECK(simulation.judge(call("file.read", R"({"path":)")).code == Code::arguments_malformed);
}

TEST_CASE("A digest that was pinned must be known, and a tool that does more is refused",
          "[tools][R68]") {
  Simulated it({grant("own", "cat", Effect::read)});
  it.capsule.root.grants[0].digest_kind = capsules::DigestKind::pinned;
  it.capsule.root.grants[0].digest.bytes[0] = 7;
  it.tools["cat"] = {.name = "cat",
                     .effect = Effect::read,
                     .digest = {},
                     .inputs = {{"path", capsules::InputType::path, false}}};
  const SimulatedCall cat = call("cat", R"({"path":"/var/log/plant/a"})");
  CHECK(it.begin().judge(cat).judged == Judged::unknown);
  it.tools["cat"].digest = it.capsule.root.grants[0].digest;
  CHECK(it.begin().judge(cat).judged == Judged::allow);
  it.tools["cat"].digest->bytes[0] = 8;
  CHECK(it.begin().judge(cat).code == Code::tool_digest);
  it.tools["cat"].digest = it.capsule.root.grants[0].digest;
  it.tools["cat"].effect = Effect::write;
  CHECK(it.begin().judge(cat).code == Code::effect_exceeds);
}

TEST_CASE("Budgets are charged call by call; doubt in one is doubt in those after",
          "[tools][R68]") {
  Simulated it({grant("read", "file.read", Effect::read)});
  it.capsule.root.grants[0].budget.calls = 2;
  Simulation simulation = it.begin();
  CHECK(simulation.judge(read_plant()).judged == Judged::allow);
  CHECK(simulation.judge(read_plant()).judged == Judged::allow);
  CHECK(simulation.judge(read_plant()).code == Code::budget_calls);

  Simulation doubtful = it.begin();
  CHECK(doubtful.judge(call("file.read", std::nullopt)).judged == Judged::unknown);
  CHECK(doubtful.judge(read_plant()).judged == Judged::allow);
  CHECK(doubtful.judge(read_plant()).judged == Judged::unknown);
}

TEST_CASE("Bytes are known once it is told how a call went", "[tools][R68]") {
  Simulated it({grant("read", "file.read", Effect::read)});
  it.capsule.root.grants[0].budget.bytes = 100;
  Simulation untold = it.begin();
  CHECK(untold.judge(read_plant()).judged == Judged::allow);
  CHECK(untold.judge(read_plant()).judged == Judged::unknown);
  Simulation told = it.begin();
  CHECK(told.judge(read_plant()).judged == Judged::allow);
  told.settle(0, {.done = true, .result_bytes = 60, .cpu_ms = 0});
  CHECK(told.judge(read_plant()).judged == Judged::allow);
  told.settle(1, {.done = true, .result_bytes = 40, .cpu_ms = 0});
  CHECK(told.judge(read_plant()).code == Code::budget_bytes);
}

TEST_CASE("Without times a rate is in doubt once its bucket may be empty", "[tools][R68]") {
  Simulated it({grant("read", "file.read", Effect::read)});
  it.capsule.root.grants[0].budget.rate = capsules::Rate{1, 1000};
  Simulation untimed = it.begin();
  CHECK(untimed.judge(read_plant()).judged == Judged::allow);
  CHECK(untimed.judge(read_plant()).judged == Judged::unknown);
  Simulation timed = it.begin();
  SimulatedCall at = read_plant();
  at.at = Now{.boot_ms = 5000, .wall_s = 0, .boot_id = {}};
  CHECK(timed.judge(at).judged == Judged::allow);
  at.at->boot_ms = 5500;
  CHECK(timed.judge(at).code == Code::budget_rate);
  at.at->boot_ms = 6000;
  CHECK(timed.judge(at).judged == Judged::allow);
}

TEST_CASE("Labels and order follow from the calls before", "[tools][R68]") {
  Simulated it({grant("read", "file.read", Effect::read), grant("stat", "file.stat", Effect::read),
                grant("list", "file.list", Effect::read)});
  it.capsule.root.grants[0].labels = {"plant"};
  it.capsule.root.grants[1].refuse_after = {"plant"};
  it.capsule.root.grants[2].after = {"read"};
  const SimulatedCall stat = call("file.stat", R"({"path":"/var/log/plant/a"})");
  const SimulatedCall list = call("file.list", R"({"path":"/var/log/plant"})");
  Simulation simulation = it.begin();
  CHECK(simulation.judge(list).code == Code::after_unmet);
  CHECK(simulation.judge(stat).judged == Judged::allow);
  CHECK(simulation.judge(read_plant()).judged == Judged::allow);
  CHECK(simulation.judge(list).judged == Judged::unknown);  // whether it was done is not told
  simulation.settle(2, {.done = true, .result_bytes = 1, .cpu_ms = 1});
  CHECK(simulation.judge(list).judged == Judged::allow);
  CHECK(simulation.judge(stat).code == Code::label_refused);
  // One of which nothing is known may have added the label.
  Simulation doubtful = it.begin();
  CHECK(doubtful.judge(call("file.read", std::nullopt)).judged == Judged::unknown);
  CHECK(doubtful.judge(stat).judged == Judged::unknown);
}

TEST_CASE("So many denials end the simulated task, and doubt may have ended it", "[tools][R68]") {
  Simulated it({grant("read", "file.read", Effect::read)});
  it.capsule.root.end_on.denials = 2;
  Simulation simulation = it.begin();
  const SimulatedCall shadow = call("file.read", R"({"path":"/etc/shadow"})");
  CHECK(simulation.judge(shadow).code == Code::argument_refused);
  CHECK(simulation.judge(shadow).code == Code::argument_refused);
  CHECK(simulation.judge(read_plant()).code == Code::task_not_live);
  Simulation doubtful = it.begin();
  CHECK(doubtful.judge(shadow).judged == Judged::deny);
  CHECK(doubtful.judge(call("file.read", std::nullopt)).judged == Judged::unknown);
  CHECK(doubtful.judge(read_plant()).judged == Judged::unknown);
}

TEST_CASE("The lease of the simulated task ends", "[tools][R68]") {
  const Simulated it({grant("read", "file.read", Effect::read)});
  Simulation simulation = it.begin();
  simulation.begin(Now{.boot_ms = 1000, .wall_s = 0, .boot_id = {}});
  SimulatedCall late = read_plant();
  late.at = Now{.boot_ms = 1000 + 15 * 60 * 1000, .wall_s = 0, .boot_id = {}};
  CHECK(simulation.judge(late).code == Code::lease_over);
  late.at->boot_id.bytes[0] = 1;
  CHECK(simulation.judge(late).judged == Judged::unknown);
  late.at = Now{.boot_ms = 999 + 15 * 60 * 1000, .wall_s = 0, .boot_id = {}};
  CHECK(simulation.judge(late).judged == Judged::allow);
}

}  // namespace
}  // namespace taper::tools
