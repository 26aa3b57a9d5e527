#include "tests/support/node_for_tests.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "capsules/author/author.h"
#include "capsules/order.h"
#include "capsules/signed_release.h"
#include "capsules/signed_time.h"
#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::testing {
namespace {

// A fixture that cannot be made is a test that cannot run: say why and stop.
template <class T>
T must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "fixture: %s\n", to_line(result.error()).c_str());
    std::abort();
  }
  return std::move(result).value();
}

std::string make_folder(const std::string& parent) {
  must(crypto::initialise());
  std::string name = parent + "/taper-node-XXXXXX";
  TAPER_ASSERT(::mkdtemp(name.data()) != nullptr);
  return name;
}

constexpr std::int64_t kDayS = 86'400;

// Tests put states back as they like, and leave nothing in /run.
void no_twins() {
  ::setenv("TAPER_RUNTIME_DIR", "", 1);  // NOLINT(concurrency-mt-unsafe): before any thread
}

}  // namespace

NodeForTests::NodeForTests(const std::string& state_parent)
    : folder_((no_twins(), make_folder("/tmp"))),
      state_folder_(state_parent == "/tmp" ? folder_ : make_folder(state_parent)),
      state_(state_folder_ + "/state"),
      data_(folder_ + "/data"),
      root_(crypto::SigningKey::generate()),
      issuer_(crypto::SigningKey::generate()),
      holder_(crypto::SigningKey::generate()),
      helper_(crypto::SigningKey::generate()),
      time_(crypto::SigningKey::generate()),
      revoker_(crypto::SigningKey::generate()),
      auditor_(crypto::SigningKey::generate()) {
  TAPER_ASSERT(::mkdir(data_.c_str(), 0755) == 0);
  std::ofstream(folder_ + "/agent.key") << "stands for the holder's key\n";
  record_ = must(broker::node_init(state_, "test node"));
  capsules::TrustRootData& data = root_data_;
  data.version = 1;
  data.issued_at_s = SystemClock().now().wall_s - 60;
  data.root_keys = {root_.public_key()};
  data.root_threshold = 1;
  capsules::Issuer issuer;
  issuer.key = issuer_.public_key();
  issuer.limits = {.max_ttl_ms = 3'600'000,
                   .max_validity_s = 7 * kDayS,
                   .max_revocation_age_s = 7 * kDayS,
                   .all_tools = true,
                   .tools = {}};
  data.issuers = {issuer};
  data.issuer_threshold = 1;
  data.time_keys = {time_.public_key()};
  data.revokers = {revoker_.public_key()};
  data.auditors = {auditor_.public_key()};
  root_file_ = sign_root(data);
  fleet_ = must(broker::import_root(state_, root_file_, {})).fleet;
}

Bytes NodeForTests::sign_root(const capsules::TrustRootData& data) const {
  const Bytes payload = must(capsules::encode_root(data));
  const capsules::RootSignature signature{
      .key = crypto::key_id(root_.public_key()),
      .signature = root_.sign(crypto::statement::kRoot, payload)};
  return capsules::frame_root(payload, {signature});
}

Bytes NodeForTests::next_root_file() const {
  capsules::TrustRootData next = root_data_;
  next.version = 2;
  next.fleet = fleet_;
  next.previous = must(capsules::open_root(root_file_)).hash();
  next.issuers[0].key = crypto::SigningKey::generate().public_key();
  return sign_root(next);
}

Bytes NodeForTests::answer(ByteSpan challenge) const {
  const Bytes payload =
      must(capsules::encode_time({.midpoint_s = SystemClock().now().wall_s,
                                  .radius_s = 10,
                                  .answers = must(capsules::decode_time_challenge(challenge)),
                                  .signer = {}}));
  return capsules::frame_time(payload,
                              {.key = crypto::key_id(time_.public_key()),
                               .signature = time_.sign(crypto::statement::kTime, payload)});
}

Bytes NodeForTests::order(const TaskId& task) const {
  const Bytes payload = must(capsules::encode_order({.task = task,
                                                     .why = "its host was stolen",
                                                     .issued_at_s = SystemClock().now().wall_s,
                                                     .signer = {}}));
  return capsules::frame_order(payload,
                               {.key = crypto::key_id(revoker_.public_key()),
                                .signature = revoker_.sign(crypto::statement::kOrder, payload)});
}

Bytes NodeForTests::release(std::uint64_t size, const TreeHash& root) const {
  const Bytes payload = must(capsules::encode_release({.node = record_.sign,
                                                       .incarnation = record_.incarnation,
                                                       .size = size,
                                                       .root = root,
                                                       .signer = {}}));
  return capsules::frame_release(
      payload, {.key = crypto::key_id(auditor_.public_key()),
                .signature = auditor_.sign(crypto::statement::kRelease, payload)});
}

NodeForTests::~NodeForTests() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  std::filesystem::remove_all(state_folder_, ignored);
}

void NodeForTests::write(const std::string& name, const std::string& text) const {
  std::ofstream(data_ + "/" + name, std::ios::binary) << text;
}

std::string NodeForTests::read(const std::string& name) const {
  std::ifstream file(data_ + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::size_t NodeForTests::kept_results() const {
  std::size_t files = 0;
  std::error_code absent;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(state_ + "/results", absent))
    files += entry.is_regular_file() ? 1 : 0;
  return files;
}

void NodeForTests::put_tool(const std::string& name, const std::string& toml) const {
  const std::string path = state_ + "/tools.d/" + name + ".toml";
  std::ofstream(path) << toml;
  TAPER_ASSERT(::chmod(path.c_str(), 0644) == 0);
}

capsules::Grant NodeForTests::grant(const GrantFor& wanted) const {
  capsules::Grant grant;
  grant.id = wanted.tool;
  grant.tool = wanted.tool;
  grant.digest_kind = capsules::find_builtin(wanted.tool) != nullptr
                          ? capsules::DigestKind::builtin
                          : capsules::DigestKind::unpinned;
  grant.verbs = {capsules::Verb::discover, capsules::Verb::call,   capsules::Verb::poll,
                 capsules::Verb::result,   capsules::Verb::update, capsules::Verb::cancel};
  for (const std::string& name : wanted.paths)
    grant.args.push_back({.name = name, .optional = false, .all = {capsules::Under{data_}}});
  for (const std::string& name : wanted.any)
    grant.args.push_back({.name = name, .optional = false, .all = {capsules::AnyValue{}}});
  grant.budget.calls = wanted.calls;
  grant.effect = wanted.effect;
  return grant;
}

capsules::Capsule NodeForTests::capsule() {
  const std::int64_t now_s = SystemClock().now().wall_s;
  capsules::Capsule capsule;
  capsule.issuer.bytes = crypto::key_id(issuer_.public_key()).bytes;
  capsule.serial = ++serial_;
  capsule.issued_at_s = now_s;
  capsule.fleet = fleet_;
  capsule.tenant = "test";
  capsule.purpose = "a test";
  capsule.requester = "tester@example.com";
  capsule.agent = "test agent";
  capsule.holder = holder_.public_key();
  capsule.audience = {.node = record_.sign, .incarnation = record_.incarnation};
  capsule.not_before_s = now_s - 60;
  capsule.not_after_s = now_s + kDayS;
  capsule.activations = 1;
  capsule.lease_ttl_ms = 60'000;
  capsule.lease_idle_ms = 60'000;
  capsule.max_revocation_age_s = kDayS;
  capsule.time_assurance = capsules::TimeAssurance::behind;
  capsule.min_tier = capsules::Tier::t2;
  capsule.entry = capsules::EntryKind::plan;
  capsule.log_quota_bytes = 1 << 20;
  return capsule;
}

std::string NodeForTests::sign(const capsules::Capsule& capsule) {
  const Bytes payload = must(capsules::encode_capsule(capsule));
  const capsules::RootSignature signature{
      .key = crypto::key_id(issuer_.public_key()),
      .signature = issuer_.sign(crypto::statement::kCapsule, payload)};
  const std::string path = folder_ + "/" + std::to_string(capsule.serial) + ".capsule";
  must(replace_file(path, capsules::write_envelope(payload, {signature}), 0644));
  return path;
}

broker::RunOptions NodeForTests::options(const std::string& capsule_path) const {
  broker::RunOptions options;
  options.state = state_;
  options.capsule_path = capsule_path;
  options.holder_key_path = folder_ + "/agent.key";
  options.prove = [this](ByteSpan statement) {
    return holder_.sign(crypto::statement::kActivation, statement);
  };
  return options;
}

std::string NodeForTests::narrow(const std::string& capsule_path, capsules::Block block,
                                 As to) const {
  const Bytes file = must(read_file(capsule_path, limits::kCapsuleBytesMax));
  block.holder = (to == As::holder ? holder_ : helper_).public_key();
  block.previous = must(capsules::next_previous(file));
  const Bytes payload = must(capsules::encode_block(block));
  const Bytes narrowed =
      must(capsules::append_block(file, payload, holder_.sign(crypto::statement::kBlock, payload)));
  must(replace_file(capsule_path + ".narrowed", narrowed, 0644));
  return capsule_path + ".narrowed";
}

broker::RunOptions NodeForTests::narrowed_options(const std::string& capsule_path) const {
  broker::RunOptions out = options(capsule_path);
  out.prove = [this](ByteSpan statement) {
    return helper_.sign(crypto::statement::kActivation, statement);
  };
  return out;
}

authority::HolderHandshake NodeForTests::opening(const std::string& capsule_path, As as) const {
  const crypto::SigningKey& key = as == As::holder ? holder_ : helper_;
  return {must(read_file(capsule_path, limits::kCapsuleBytesMax)),
          {fleet_, record_.sign, record_.incarnation},
          [&key](ByteSpan statement) { return key.sign(crypto::statement::kSession, statement); }};
}

capsules::Step plan_step(std::string id, std::string tool, std::string args,
                         std::vector<std::string> needs, capsules::OnError on_error) {
  capsules::Step step;
  step.id = std::move(id);
  step.tool = std::move(tool);
  step.args = std::move(args);
  step.needs = std::move(needs);
  step.on_error = on_error;
  return step;
}

}  // namespace taper::testing
