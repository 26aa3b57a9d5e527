// Ordered maps with an undo list: the same rules as on disk, never durable.
#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "runtime/base/assert.h"
#include "store/engine.h"

namespace taper::store {
namespace {

struct Bytewise {
  using is_transparent = void;
  bool operator()(ByteSpan a, ByteSpan b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  }
};
using Map = std::map<Bytes, Bytes, Bytewise>;
using Maps = std::array<Map, static_cast<std::size_t>(Table::count_)>;

bool has_prefix(ByteSpan key, ByteSpan prefix) {
  return key.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), key.begin());
}

class MemoryTxn final : public EngineTxn {
 public:
  explicit MemoryTxn(Maps& maps) : maps_(maps) {}
  ~MemoryTxn() override {
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step) {
      if (step->before) {
        map(step->table)[step->key] = *step->before;
      } else {
        map(step->table).erase(step->key);
      }
    }
  }

  Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const override {
    const auto found = map(table).find(key);
    if (found == map(table).end()) return std::optional<ByteSpan>();
    return std::optional<ByteSpan>(found->second);
  }

  Status scan(Table table, ByteSpan prefix, const Visit& visit) const override {
    const Map& entries = map(table);
    for (auto entry = entries.lower_bound(prefix); entry != entries.end(); ++entry) {
      if (!has_prefix(entry->first, prefix) || !visit(entry->first, entry->second)) break;
    }
    return success();
  }

  Status scan_back(Table table, ByteSpan prefix, const Visit& visit) const override {
    const Map& entries = map(table);
    auto entry = entries.lower_bound(prefix);
    const auto first = entry;
    while (entry != entries.end() && has_prefix(entry->first, prefix)) ++entry;
    while (entry != first) {
      --entry;
      if (!visit(entry->first, entry->second)) break;
    }
    return success();
  }

  Status put(Table table, ByteSpan key, ByteSpan value) override {
    Bytes copy = to_bytes(value);
    remember(table, key);
    map(table)[to_bytes(key)] = std::move(copy);
    return success();
  }
  Status put_new(Table table, ByteSpan key, ByteSpan value) override {
    if (map(table).find(key) != map(table).end()) return Error(Code::key_present);
    return put(table, key, value);
  }
  Status erase(Table table, ByteSpan key) override {
    const Bytes copy = to_bytes(key);
    remember(table, copy);
    map(table).erase(copy);
    return success();
  }
  Status reserve() override { return success(); }
  Status commit() override {
    undo_.clear();
    return success();
  }

 private:
  struct Undo {
    Table table;
    Bytes key;
    std::optional<Bytes> before;
  };
  Map& map(Table table) const { return maps_.at(static_cast<std::size_t>(table)); }
  void remember(Table table, ByteSpan key) {
    const auto found = map(table).find(key);
    std::optional<Bytes> before;
    if (found != map(table).end()) before = found->second;
    undo_.push_back({table, to_bytes(key), std::move(before)});
  }

  Maps& maps_;
  std::vector<Undo> undo_;
};

class MemoryEngine final : public Engine {
 public:
  Result<std::unique_ptr<EngineTxn>> begin(Access access) const override {
    TAPER_ASSERT(access != Access::unset);
    return std::unique_ptr<EngineTxn>(std::make_unique<MemoryTxn>(*maps_));
  }

 private:
  std::unique_ptr<Maps> maps_ = std::make_unique<Maps>();
};

}  // namespace

std::unique_ptr<Engine> make_memory_engine() { return std::make_unique<MemoryEngine>(); }

}  // namespace taper::store
