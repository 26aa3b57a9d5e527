#include <algorithm>
#include <set>

#include "crypto/crypto.h"
#include "runtime/authority/state.h"

namespace taper::authority {
namespace {

Status check_next(const capsules::TrustRoot& root, const capsules::TrustRoot* current,
                  const std::optional<Hash>& fleet) {
  const Hash& wanted = current != nullptr ? current->fleet() : fleet.value_or(root.fleet());
  if (root.fleet() != wanted || (fleet && *fleet != wanted))
    return Error(Code::fleet_pinned, {"fleet", wanted.hex(), root.fleet().hex(), ""});
  const std::uint64_t next = current != nullptr ? current->data().version + 1 : 1;
  if (root.data().version != next)
    return Error(Code::root_version, {"version", std::to_string(next) + ", after the one before",
                                      std::to_string(root.data().version), ""});
  if (current != nullptr && root.data().previous != current->hash())
    return Error(Code::root_version,
                 {"previous", current->hash().hex(), root.data().previous.value_or(Hash{}).hex(),
                  "it follows another version " + std::to_string(next - 1) +
                      " than this node's: import what was made from this one"});
  return success();
}

// The next root must bear the signatures that the one before demands of itself.
Status check_handed_over(const capsules::TrustRoot& root, const capsules::TrustRootData& before) {
  const auto count = std::count_if(
      before.root_keys.begin(), before.root_keys.end(), [&root](const PublicKey& key) {
        const auto& signers = root.signers();
        return std::find(signers.begin(), signers.end(), crypto::key_id(key)) != signers.end();
      });
  if (static_cast<std::uint64_t>(count) >= before.root_threshold) return success();
  return Error(Code::too_few_signatures,
               {"signatures", std::to_string(before.root_threshold) + " of the version before",
                std::to_string(count), ""});
}

// Whoever signed a wrong time may have signed more of it: files of before must not count again.
Status check_reset(const capsules::TrustRootData& next, const capsules::TrustRootData& before) {
  if (!next.time_reset) return success();
  for (const PublicKey& key : next.time_keys) {
    if (std::ranges::find(before.time_keys, key) != before.time_keys.end())
      return Error(Code::root_malformed,
                   {"time_keys", "none of the version before, with time_reset", key.hex(), ""});
  }
  return success();
}

}  // namespace

Status Authority::import_root(ByteSpan file, const std::optional<Hash>& fleet, const Now& now) {
  TAPER_TRY(capsules::TrustRoot root, capsules::open_root(file));
  const capsules::TrustRoot* current = Authority::root();
  const bool again = current != nullptr && current->hash() == root.hash();
  if (again && (!fleet || *fleet == root.fleet())) return success();
  TAPER_CHECK(check_next(root, current, fleet));
  if (current != nullptr) {
    TAPER_CHECK(check_handed_over(root, current->data()));
    TAPER_CHECK(check_reset(root.data(), current->data()));
  }

  capsules::Object body{{"verb", "import"},
                        {"root", root.hash().hex()},
                        {"version", count_value(root.data().version)},
                        {"fleet", root.fleet().hex()},
                        {"issued_at", format_utc_s(root.data().issued_at_s)}};
  if (root.data().time_reset) body.emplace_back("time_reset", true);
  add_clocks(body, now);
  const auto change = [&](store::WriteTxn& txn) -> Status {
    TAPER_CHECK(txn.put_new(store::Table::roots, big_endian(root.data().version), file));
    TAPER_CHECK(txn.append(store::LeafType::import, capsules::write_canonical(body)));
    return success();
  };
  // The one way in which what is known of the time is taken back.
  const bool reset = root.data().time_reset;
  const TimeState known = reset ? TimeState{.at = now} : state_->time;
  TAPER_CHECK(state_->commit(now, change, raise(known, root.data().issued_at_s, now)));
  state_->root.emplace(std::move(root));
  return state_->reverify(now);
}

// What a root no longer lists ends with its import, as if the capsule had been revoked.
Status Authority::State::reverify(const Now& now) {
  for (auto& [id, task] : live) {
    std::set<Hash> closed;
    TAPER_CHECK(store.read([&, &its = task](const store::ReadTxn& txn) -> Status {
      for (const auto& [chain, known] : its.chains) {
        const Bytes key = capsule_key(its.record.capsule, chain);
        TAPER_TRY(const auto file, txn.get(store::Table::capsules, key));
        if (!file || !capsules::open(*file, *root).ok()) closed.insert(chain);
      }
      return success();
    }));
    // In memory is enough: after a restart such a chain is not attached again.
    for (const Hash& chain : closed) task.chains.at(chain).ended = true;
    if (!closed.contains(task.record.chain) || task.record.state != TaskState::active) continue;
    task.stopping = EndReason::revocation;
    TaskRecord next = task.record;
    task.bring(next, now);
    TAPER_CHECK(commit(now, [&, &its_id = id](store::WriteTxn& txn) {
      return write_ending(txn, its_id, EndReason::revocation, now, next);
    }));
    task.record = next;
  }
  return success();
}

}  // namespace taper::authority
