// What an auditor released, and what the node forgets of it.
#include "capsules/signed_release.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using store::LeafType;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

// Over a store with a real log; its root, of version 2, lists an auditor.
struct AuditedNode : Node {
  AuditedNode() {
    origin = "taper/" + fleet.node.hex() + "/" + fleet.incarnation.hex();
    log = store::open_memory({fleet.incarnation, origin}, store::LogSeed::generate());
    restart();
    REQUIRE(authority->import_root(fleet.root_file, std::nullopt, clock.now()).ok());
    capsules::TrustRootData next = fleet.root_data;
    next.version = 2;
    next.fleet = fleet.fleet;
    next.previous = authority->root()->hash();
    next.auditors = {auditor.public_key()};
    next.time_keys = {time_key.public_key()};
    const Bytes file = sign_root(next, {&fleet.root_key});
    REQUIRE(authority->import_root(file, std::nullopt, clock.now()).ok());
  }

  void restart() {
    authority.reset();
    auto started = authority::Authority::start(*log, facts(), clock.now());
    REQUIRE(started.code() == Code::ok);
    authority = std::move(started).value();
  }

  capsules::LogRelease all() const {
    const store::LogHead head = *log->log_head();
    return {fleet.node, fleet.incarnation, head.size, head.root, {}};
  }
  Bytes sign(const capsules::LogRelease& release, const crypto::SigningKey& key,
             std::string_view statement = crypto::statement::kRelease) const {
    const Bytes payload = capsules::encode_release(release).value();
    return capsules::frame_release(
        payload, {crypto::key_id(key.public_key()), key.sign(statement, payload)});
  }
  Code take(const capsules::LogRelease& release) {
    return authority->import_release(sign(release, auditor), clock.now()).code();
  }
  void prune() {
    for (bool more = true; more;) {
      const Result<bool> done = authority->prune(clock.now());
      REQUIRE(done.ok());
      more = *done;
    }
  }
  store::LogFloor floor() const {
    store::LogFloor found;
    REQUIRE(log->read([&found](const store::ReadTxn& txn) -> Status {
                 TAPER_TRY(found, store::log_floor(txn));
                 return success();
               })
                .ok());
    return found;
  }
  // The records that are here, as "type body".
  std::vector<std::string> bodies(LeafType type) const {
    std::vector<std::string> found;
    REQUIRE(log->read([&](const store::ReadTxn& txn) {
                 return txn.scan(store::Table::log_leaves, {}, [&](ByteSpan, ByteSpan record) {
                   if (record[1] == static_cast<std::uint8_t>(type))
                     found.emplace_back(as_text(record.subspan(3)));
                   return true;
                 });
               })
                .ok());
    return found;
  }
  Code why(const DecisionId& decision) const {
    return authority::explain_decision(*log, decision).code();
  }
  // A whole task with one decision.
  DecisionId work(const TaskId& task) {
    const auto call = allowed(task, "file.read", kRead);
    settle(call.call, CallState::done);
    return call.decision;
  }

  std::string origin;
  crypto::SigningKey auditor = crypto::SigningKey::generate();
  crypto::SigningKey time_key = crypto::SigningKey::generate();
  std::unique_ptr<store::Store> log;
};

TEST_CASE("an auditor's release is recorded, and lets go what is over", "[authority][R59]") {
  AuditedNode node;
  const TaskId over = node.activated();
  const DecisionId old = node.work(over);
  node.end(over, EndReason::completion);
  const capsules::LogRelease release = node.all();
  const TaskId later = node.activated();
  const DecisionId fresh = node.work(later);
  REQUIRE(node.take(release) == Code::ok);
  CHECK(node.floor().kept == 0);  // durable first
  CHECK(node.why(old) == Code::ok);
  node.restart();
  node.prune();
  CHECK(node.floor().kept == release.size);
  CHECK(node.why(old) == Code::unknown_decision);
  CHECK(node.why(fresh) == Code::ok);
  CHECK(node.bodies(LeafType::import).empty());
  CHECK(node.bodies(LeafType::decision).size() == 1);
  const auto records = node.bodies(LeafType::release);
  REQUIRE(records.size() == 1);
  CHECK(member(records[0], "size") == std::to_string(release.size));
  CHECK(member(records[0], "root") == release.root.hex());
  CHECK(member(records[0], "signer") == crypto::key_id(node.auditor.public_key()).hex());
  // The task that is over is told of as before, but for what was refused.
  CHECK(authority::show_task(*node.log, over, node.clock.now()).ok());
}

// Another store, but refuses whatever appends a record.
struct FullStore : store::Store {
  explicit FullStore(store::Store& store) : inner(store) {}
  Status read(const std::function<Status(const store::ReadTxn&)>& look) const override {
    return inner.read(look);
  }
  Result<store::LogHead> log_head() const override { return inner.log_head(); }
  Status sync_marker() override { return inner.sync_marker(); }
  Result<CommitFacts> commit(const std::function<Status(store::WriteTxn&)>& change) override {
    const std::uint64_t size = inner.log_head()->size;
    // Appending once more tells how many were; nothing of it stays.
    const auto tried = inner.write([&](store::WriteTxn& txn) -> Status {
      TAPER_CHECK(change(txn));
      TAPER_TRY(const std::uint64_t next, txn.append(LeafType::evidence, "{}"));
      return Error(next == size ? Code::key_present : Code::store_full);
    });
    if (tried.code() != Code::key_present) return tried.error();
    TAPER_TRY(const store::Committed done, inner.write(change));
    return CommitFacts{done.commit(), done.log_size()};
  }
  store::Store& inner;
};

TEST_CASE("what a full disk cannot tell of holds up no forgetting", "[authority][R50][R59]") {
  AuditedNode node;
  const TaskId over = node.activated();
  node.work(over);
  node.end(over, EndReason::completion);
  const capsules::LogRelease release = node.all();
  REQUIRE(node.take(release) == Code::ok);
  FullStore full(*node.log);
  node.authority.reset();
  auto started = authority::Authority::start(full, node.facts(), node.clock.now());
  REQUIRE(started.code() == Code::ok);
  node.authority = std::move(started).value();
  node.clock.step_wall_s(480);
  node.clock.advance_ms(1'000);
  node.prune();
  CHECK(node.floor().kept == release.size);
  CHECK(node.bodies(LeafType::time_step).empty());
  // It is told when there is room again.
  node.restart();
  node.clock.step_wall_s(480);
  REQUIRE(node.authority->persist_time(node.clock.now()).ok());
  CHECK(node.bodies(LeafType::time_step).size() == 1);
  node.authority.reset();
}

TEST_CASE("a release is an auditor's, and of this log", "[authority][R3][R59]") {
  AuditedNode node;
  const TaskId task = node.activated();
  node.work(task);
  node.end(task, EndReason::completion);
  const capsules::LogRelease good = node.all();
  const auto import = [&node](const Bytes& file) {
    return node.authority->import_release(file, node.clock.now()).code();
  };
  const std::uint64_t size = node.log->log_head()->size;
  CHECK(import(node.sign(good, node.time_key)) == Code::release_signer);
  CHECK(import(node.sign(good, node.fleet.issuer_key)) == Code::release_signer);
  CHECK(import(node.sign(good, node.fleet.root_key)) == Code::release_signer);
  CHECK(import(node.sign(good, node.auditor, crypto::statement::kTime)) == Code::signature_wrong);
  capsules::LogRelease other = good;
  other.node.bytes[3] ^= 1U;
  CHECK(node.take(other) == Code::release_other_log);
  other = good;
  other.incarnation.bytes[3] ^= 1U;
  CHECK(node.take(other) == Code::release_other_log);
  Bytes file = node.sign(good, node.auditor);
  for (std::size_t i = 0; i < file.size(); ++i) {
    file[i] ^= 1U;
    CHECK(import(file) != Code::ok);
    file[i] ^= 1U;
    CHECK(import(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(i))) != Code::ok);
  }
  file.push_back(0);
  CHECK(import(file) == Code::envelope_malformed);
  CHECK(import(Bytes(limits::kReleaseBytesMax + 1, 0)) == Code::too_large);
  node.prune();
  CHECK(node.floor().released == 0);
  CHECK(node.log->log_head()->size == size);
}

TEST_CASE("a release of another story of this log is evidence", "[authority][R59][R63]") {
  AuditedNode node;
  const capsules::LogRelease good = node.all();
  capsules::LogRelease forked = good;
  forked.root.bytes[0] ^= 1U;
  CHECK(node.take(forked) == Code::release_mismatch);
  CHECK(node.take(forked) == Code::release_mismatch);  // in the log once
  capsules::LogRelease longer = good;
  longer.size += 100;
  CHECK(node.take(longer) == Code::release_mismatch);
  const auto evidence = node.bodies(LeafType::evidence);
  REQUIRE(evidence.size() == 2);
  CHECK(member(evidence[0], "evidence") == "release_mismatch");
  CHECK(member(evidence[0], "root") == forked.root.hex());
  CHECK(member(evidence[0], "expected") == good.root.hex());
  CHECK(node.floor().released == 0);
  CHECK(node.take(good) == Code::ok);
}

TEST_CASE("an older release changes nothing", "[authority][R59]") {
  AuditedNode node;
  const capsules::LogRelease early = node.all();
  node.end(node.activated(), EndReason::completion);
  const capsules::LogRelease late = node.all();
  REQUIRE(node.take(late) == Code::ok);
  node.prune();
  const std::uint64_t size = node.log->log_head()->size;
  CHECK(node.take(early) == Code::ok);
  CHECK(node.take(late) == Code::ok);
  CHECK(node.log->log_head()->size == size);
  CHECK(node.floor().released == late.size);
}

TEST_CASE("what a live task or a kept result needs stays until that is over",
          "[authority][R59][R60]") {
  AuditedNode node;
  capsules::Capsule capsule = sample_capsule(node.fleet);
  const bool kept = GENERATE(false, true);
  if (kept) {
    capsule.result = {{Hash{crypto::key_id(node.auditor.public_key()).bytes}}, 60'000, 1};
  }
  const TaskId task = node.activated(capsule);
  const DecisionId its = node.work(task);
  if (kept) node.end(task, EndReason::completion);
  REQUIRE(node.take(node.all()) == Code::ok);
  node.prune();
  node.restart();
  node.prune();
  CHECK(node.bodies(LeafType::import).empty());  // before it
  CHECK(node.bodies(LeafType::activation).size() == 1);
  CHECK(node.why(its) == Code::ok);
  const std::uint64_t commits =
      node.log->write([](store::WriteTxn&) { return success(); })->commit();
  node.prune();
  CHECK(node.log->write([](store::WriteTxn&) { return success(); })->commit() == commits + 1);
  if (kept) {
    node.clock.advance_ms(61'000);
    CHECK(node.authority->kept_results(node.clock.now())->empty());
  } else {
    node.end(task, EndReason::completion);
  }
  node.prune();
  CHECK(node.floor().kept == node.floor().released);
  CHECK(node.bodies(LeafType::activation).empty());
  CHECK(node.why(its) == Code::unknown_decision);
}

}  // namespace
}  // namespace taper::testing
