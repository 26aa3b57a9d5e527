// A store of maps that keeps the log's records readable, fails where it is told to, and can be
// copied as a disk is when the power goes.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "store/store.h"

namespace taper::testing {

class MapStore final : public store::Store {
 public:
  struct Leaf {
    store::LeafType type = store::LeafType::unset;
    std::string body;
  };
  using Tables = std::array<std::map<Bytes, Bytes>, static_cast<std::size_t>(store::Table::count_)>;
  struct Disk {
    Tables tables;
    std::vector<Leaf> log;
  };

  MapStore() = default;
  explicit MapStore(Disk disk) : disk_(std::move(disk)) {}

  const Disk& disk() const { return disk_; }
  std::uint64_t commits() const { return commits_; }
  // The records of one type, oldest first.
  std::vector<std::string> records(store::LeafType type) const;

  enum class Failure { none, before, after, full };
  // From commit number `commit` (from 1) on, every commit fails: before it changed anything
  // (store_full), or, that one, after it was written but before anybody hears (commit_unknown).
  // Failure::full: whatever appends a record fails with store_full, and all else succeeds.
  // Failure::none: they succeed again.
  void fail_at(std::uint64_t commit, Failure failure);
  bool failed() const { return failed_; }

  Status read(const std::function<Status(const store::ReadTxn&)>& look) const override;
  Result<store::LogHead> log_head() const override;
  Status sync_marker() override { return success(); }

 protected:
  Result<CommitFacts> commit(const std::function<Status(store::WriteTxn&)>& change) override;

 private:
  Disk disk_;
  std::uint64_t commits_ = 0;
  std::uint64_t fail_at_ = 0;
  Failure failure_ = Failure::none;
  bool failed_ = false;
};

}  // namespace taper::testing
