#include "runtime/authority/node.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "crypto/crypto.h"
#include "runtime/authority/authority.h"
#include "runtime/base/file.h"
#include "tests/support/capsule_maker.h"

namespace taper::testing {
namespace {

namespace fs = std::filesystem;

struct Scratch {
  Scratch() {
    REQUIRE(crypto::initialise().ok());
    path = fs::temp_directory_path() / ("taper-node-" + crypto::random_id<Nonce>().hex());
  }
  ~Scratch() { fs::remove_all(path); }
  fs::path path;
};

unsigned mode(const fs::path& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777U;
}

TEST_CASE("a node's record is signed and every byte of it counts", "[authority]") {
  REQUIRE(crypto::initialise().ok());
  const auto key = crypto::SigningKey::generate();
  const auto log_key = crypto::SigningKey::generate();
  const authority::NodeRecord record{"pump-07", key.public_key(), crypto::random_id<SealKey>(),
                                     crypto::random_id<Incarnation>(), log_key.public_key()};
  const std::string text = authority::write_node_record(record, key);
  const auto read = authority::parse_node_record(text);
  REQUIRE(read.code() == Code::ok);
  CHECK(read->name == "pump-07");
  CHECK(read->seal == record.seal);
  CHECK(read->incarnation == record.incarnation);
  CHECK(read->log_key_0 == record.log_key_0);
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK(authority::parse_node_record(changed).code() == Code::node_record_malformed);
    CHECK(authority::parse_node_record(text.substr(0, at)).code() == Code::node_record_malformed);
  }
  CHECK(authority::parse_node_record(text + "\n").code() == Code::node_record_malformed);
}

TEST_CASE("a node is made once, its keys for its owner alone", "[authority]") {
  const Scratch scratch;
  const std::string state = scratch.path.string();
  CHECK(authority::read_node(state).code() == Code::not_a_state);
  CHECK(authority::create_node(state, "two\nlines").code() == Code::usage);
  const auto made = authority::create_node(state, "pump-07");
  REQUIRE(made.code() == Code::ok);
  const auto read = authority::read_node(state);
  REQUIRE(read.code() == Code::ok);
  CHECK(read->sign == made->sign);
  CHECK(mode(scratch.path) == 0700);
  CHECK(mode(scratch.path / "keys") == 0700);
  CHECK(mode(scratch.path / "keys/node.key") == 0600);
  CHECK(mode(scratch.path / "keys/seal.key") == 0600);
  CHECK(fs::is_directory(scratch.path / "tools.d"));
  CHECK(authority::create_node(state, "again").code() == Code::file_exists);
}

TEST_CASE("a task lives through closing and opening a state on disk", "[authority][R1]") {
  const Scratch scratch;
  const auto record = authority::create_node(scratch.path.string(), "pump-07");
  REQUIRE(record.code() == Code::ok);
  Fleet fleet = make_fleet();
  fleet.node = record->sign;
  fleet.incarnation = record->incarnation;
  const authority::Tools tools = authority::builtin_tools();
  const authority::NodeFacts facts{record->sign,       record->incarnation,
                                   "pump-07",          {scratch.path.string()},
                                   capsules::Tier::t2, {}};
  ManualClock clock({1'000'000, kNowS, BootId{}});
  const Bytes file = sign_capsule(fleet, sample_capsule(fleet));
  constexpr auto kArguments = R"({"path":"/var/log/plant/a"})";
  TaskId task;
  for (int life = 0; life < 3; ++life) {
    auto store = store::open_state({scratch.path.string(), authority::log_origin(*record), false});
    REQUIRE(store.code() == Code::ok);
    auto authority = authority::Authority::start(**store, facts, clock.now());
    REQUIRE(authority.code() == Code::ok);
    REQUIRE((*authority)->import_root(fleet.root_file, std::nullopt, clock.now()).ok());
    authority::ActivationRequest request;
    request.capsule_file = file;
    request.challenge = (*authority)->challenge();
    const auto opened = capsules::open(file, *(*authority)->root());
    REQUIRE(opened.code() == Code::ok);
    request.proof = fleet.holder_key.sign(
        crypto::statement::kActivation,
        authority::activation_statement(fleet.fleet, fleet.node, fleet.incarnation, opened->chain(),
                                        request.challenge, {}));
    const auto activation = (*authority)->activate(request, tools, clock.now());
    REQUIRE(activation.code() == Code::ok);
    CHECK(activation->resumed == (life > 0));
    CHECK((life == 0 || activation->task == task));
    task = activation->task;
    const authority::CallRequest call{
        task,  activation->chain, capsules::Verb::call, "file.read", to_bytes(as_bytes(kArguments)),
        "step"};
    const auto decision = (*authority)->authorise(call, tools, clock.now());
    REQUIRE(decision.code() == Code::ok);
    CHECK(std::holds_alternative<authority::Allowed>(*decision));
    const auto view = authority::show_task(**store, task, clock.now());
    REQUIRE(view.code() == Code::ok);
    CHECK(view->grants[0].left.calls == 4 - life);
  }
}

}  // namespace
}  // namespace taper::testing
