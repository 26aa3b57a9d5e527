// What an auditor archived, this node may forget: not what live tasks and kept results need.
#include "capsules/signed_release.h"
#include "crypto/crypto.h"
#include "runtime/authority/state.h"

namespace taper::authority {
namespace {

using capsules::LogRelease;
using capsules::Value;

Error other_log(std::string field, std::string expected, std::string got) {
  return Error(Code::release_other_log,
               {std::move(field), std::move(expected), std::move(got), ""});
}

Status check_here(const LogRelease& release, const NodeFacts& node) {
  if (release.node != node.node) return other_log("node", node.node.hex(), release.node.hex());
  if (release.incarnation == node.incarnation) return success();
  return other_log("incarnation", node.incarnation.hex(), release.incarnation.hex());
}

capsules::Object release_body(const LogRelease& release, const Now& now) {
  capsules::Object body{{"verb", "release"},
                        {"size", count_value(release.size)},
                        {"root", release.root.hex()},
                        {"signer", release.signer.hex()}};
  add_clocks(body, now);
  return body;
}

std::string_view text_of(const Value& body, std::string_view name) {
  const Value* found = body.find(name);
  return found == nullptr || found->text() == nullptr ? std::string_view() : *found->text();
}

// Each task that the record tells of: its own, or those that a restart found.
void visit_named(const Value& body, const std::function<void(const TaskId&)>& visit) {
  const auto one = [&visit](const Value& told) {
    if (const auto id = TaskId::from_hex(text_of(told, "task"))) visit(*id);
  };
  one(body);
  const Value* found = body.find("tasks");
  if (found == nullptr || found->array() == nullptr) return;
  for (const Value& told : *found->array()) one(told);
}

Result<Value> body_of(ByteSpan record) {
  ByteReader reader(record);
  reader.u8();
  reader.u16();
  return capsules::parse_value(reader.take(reader.left()), limits::kAuditRecordBytesMax);
}

}  // namespace

// A record that cannot be read tells of no task.
Result<bool> Authority::State::needs(const store::ReadTxn& txn, const capsules::Value& body) const {
  bool needed = false;
  Status status = success();
  visit_named(body, [&](const TaskId& id) {
    Result<bool> kept = keeps_results(txn, id);
    if (!kept.ok()) status = kept.error();
    needed = needed || live.contains(id) || (kept.ok() && *kept);
  });
  TAPER_CHECK(std::move(status));
  return needed;
}

Status Authority::import_release(ByteSpan file, const Now& now) {
  State& state = *state_;
  if (!state.root) return Error(Code::no_trust_root, {"root", "a trust root", "none", ""});
  TAPER_TRY(const LogRelease release, capsules::open_release(file, *state.root));
  TAPER_CHECK(check_here(release, state.node));
  capsules::Object body = release_body(release, now);
  const auto taken = state.commit(now, [&](store::WriteTxn& txn) -> Status {
    TAPER_TRY(const bool more, txn.release(release.size, release.root));
    if (!more) return Error(Code::key_present);
    TAPER_CHECK(txn.append(store::LeafType::release, capsules::write_canonical(body)));
    return success();
  });
  if (taken.code() == Code::key_present) return success();  // nothing new
  if (taken.code() != Code::release_mismatch) return taken.ok() ? success() : Status(taken.error());
  // Two stories of one log: ours, and what its auditor saw.
  const Bytes once = ByteWriter().text("evidence").raw(crypto::hash(file).span()).bytes();
  body.emplace_back("evidence", describe(Code::release_mismatch).name);
  body.emplace_back("expected", printable(taken.error().detail().expected));
  const auto kept = state.commit(now, [&](store::WriteTxn& txn) -> Status {
    TAPER_CHECK(txn.put_new(store::Table::replay, once, {}));
    TAPER_CHECK(txn.append(store::LeafType::evidence, capsules::write_canonical(body)));
    return success();
  });
  if (!kept.ok() && kept.code() != Code::key_present) return kept.error();
  return taken.error();
}

Result<bool> Authority::prune(const Now& now) {
  State& state = *state_;
  bool due = false;
  TAPER_CHECK(state.store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(const store::LogFloor floor, store::log_floor(txn));
    due = floor.kept < floor.released;
    if (!due) return success();
    TAPER_TRY(const auto record, txn.get(store::Table::log_leaves, big_endian(floor.kept)));
    if (!record) return success();
    const Result<Value> body = body_of(*record);
    if (!body.ok()) return success();
    TAPER_TRY(const bool needed, state.needs(txn, *body));
    due = !needed;
    return success();
  }));
  if (!due) return false;
  bool more = false;
  // On a full disk this is what makes room, so it waits for no room to tell of anything else.
  const auto forget = [&](store::WriteTxn& txn) -> Status {
    TAPER_TRY(more, txn.prune([&](ByteSpan record) -> Result<bool> {
      const Result<Value> body = body_of(record);
      if (!body.ok()) return false;
      TAPER_TRY(const bool needed, state.needs(txn, *body));
      if (needed) return true;
      // What stands of it for `why` goes with it.
      const auto decision = DecisionId::from_hex(text_of(*body, "decision"));
      if (decision) TAPER_CHECK(txn.erase(store::Table::decisions, decision->span()));
      return false;
    }));
    return success();
  };
  TAPER_CHECK(state.commit(now, forget, {}, State::Telling::may));
  return more;
}

}  // namespace taper::authority
