#include "tests/support/map_store.h"

#include <algorithm>

namespace taper::testing {
namespace {

using store::Table;

bool begins_with(const Bytes& key, ByteSpan prefix) {
  return key.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), key.begin());
}

class Txn final : public store::WriteTxn {
 public:
  explicit Txn(MapStore::Disk& disk) : disk_(disk) {}

  Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const override {
    const auto& rows = of(table);
    const auto found = rows.find(to_bytes(key));
    if (found == rows.end()) return std::optional<ByteSpan>();
    return std::optional<ByteSpan>(found->second);
  }
  Status scan(Table table, ByteSpan prefix, const Visit& visit) const override {
    for (const auto& [key, value] : of(table)) {
      if (begins_with(key, prefix) && !visit(key, value)) break;
    }
    return success();
  }
  Status scan_back(Table table, ByteSpan prefix, const Visit& visit) const override {
    const auto& rows = of(table);
    for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
      if (begins_with(row->first, prefix) && !visit(row->first, row->second)) break;
    }
    return success();
  }
  Status put(Table table, ByteSpan key, ByteSpan value) override {
    TAPER_ASSERT(!key.empty() && key.size() <= 511);
    of(table)[to_bytes(key)] = to_bytes(value);
    return success();
  }
  Status put_new(Table table, ByteSpan key, ByteSpan value) override {
    if (of(table).contains(to_bytes(key))) return Error(Code::key_present);
    return put(table, key, value);
  }
  Status erase(Table table, ByteSpan key) override {
    of(table).erase(to_bytes(key));
    return success();
  }
  Result<std::uint64_t> append(store::LeafType type, std::string_view body) override {
    disk_.log.push_back({type, std::string(body)});
    return std::uint64_t{disk_.log.size() - 1};
  }
  // There is no tree here.
  Result<bool> release(std::uint64_t /*size*/, const TreeHash& /*root*/) override {
    return Error(Code::internal);
  }
  Result<bool> prune(const Needed& /*needed*/) override { return Error(Code::internal); }

 private:
  std::map<Bytes, Bytes>& of(Table table) const {
    return disk_.tables[static_cast<std::size_t>(table)];
  }
  MapStore::Disk& disk_;
};

}  // namespace

std::vector<std::string> MapStore::records(store::LeafType type) const {
  std::vector<std::string> found;
  for (const Leaf& leaf : disk_.log) {
    if (leaf.type == type) found.push_back(leaf.body);
  }
  return found;
}

void MapStore::fail_at(std::uint64_t commit, Failure failure) {
  fail_at_ = commit;
  failure_ = failure;
  failed_ = false;
}

Status MapStore::read(const std::function<Status(const store::ReadTxn&)>& look) const {
  Disk copy = disk_;
  return look(Txn(copy));
}

Result<store::LogHead> MapStore::log_head() const {
  return store::LogHead{disk_.log.size(), {}, 0};
}

Result<store::Store::CommitFacts> MapStore::commit(
    const std::function<Status(store::WriteTxn&)>& change) {
  Disk next = disk_;
  Txn txn(next);
  TAPER_CHECK(change(txn));
  if (failed_) return Error(Code::store_full);
  if (failure_ == Failure::full) {
    if (next.log.size() != disk_.log.size()) return Error(Code::store_full);
    disk_ = std::move(next);
    return CommitFacts{++commits_, disk_.log.size()};
  }
  const bool fails = failure_ != Failure::none && commits_ + 1 == fail_at_;
  failed_ = fails;
  if (fails && failure_ == Failure::before) return Error(Code::store_full);
  disk_ = std::move(next);
  ++commits_;
  if (fails) return Error(Code::commit_unknown);
  return CommitFacts{commits_, disk_.log.size()};
}

}  // namespace taper::testing
