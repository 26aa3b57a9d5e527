#include "store/audit_receipt.h"

#include <algorithm>
#include <bit>

#include "runtime/base/limits.h"
#include "store/log_state.h"

namespace taper::store {
namespace {

constexpr std::string_view kMagic = "TPX1";

Result<Bytes> load_record(const ReadTxn& txn, std::uint64_t number) {
  TAPER_TRY(const std::optional<ByteSpan> record, txn.get(Table::log_leaves, big_endian(number)));
  if (!record) return corrupt("a log record");
  return to_bytes(*record);
}

// The hash over leaves [from, to), which begin where a subtree of their number may.
Result<TreeHash> range_hash(const ReadTxn& txn, std::uint64_t from, std::uint64_t to) {
  const std::uint64_t size = to - from;
  if (std::has_single_bit(size)) {
    const auto level = static_cast<unsigned>(std::countr_zero(size));
    return load_node(txn, level, from >> level);
  }
  const std::uint64_t middle = from + std::bit_floor(size);
  TAPER_TRY(const TreeHash left, range_hash(txn, from, middle));
  TAPER_TRY(const TreeHash right, range_hash(txn, middle, to));
  return node_hash(left, right);
}

// RFC 6962, 2.1.1: the siblings from leaf `number` up to the root over `size` leaves.
Status add_path(const ReadTxn& txn, std::uint64_t number, std::uint64_t size, ByteWriter& out) {
  std::vector<TreeHash> path;
  for (std::uint64_t from = 0, to = size; to - from > 1;) {
    const std::uint64_t middle = from + std::bit_floor(to - from - 1);
    const bool left = number < middle;
    TAPER_TRY(const TreeHash sibling,
              left ? range_hash(txn, middle, to) : range_hash(txn, from, middle));
    path.push_back(sibling);
    (left ? to : from) = middle;
  }
  out.u8(static_cast<std::uint8_t>(path.size()));
  for (std::size_t i = path.size(); i-- > 0;) out.raw(path[i].span());
  return success();
}

Status add_chain(const ReadTxn& txn, const std::string& origin, std::uint64_t number,
                 ByteWriter& out) {
  std::vector<SignedHead> heads;  // up to the first that covers the record
  TAPER_CHECK(txn.scan(Table::log_heads, {}, [&](ByteSpan, ByteSpan value) {
    ByteReader reader(value);
    heads.push_back(take_signed_head(reader));
    return reader.done() && heads.back().size <= number;
  }));
  if (heads.empty() || heads.back().size <= number) return corrupt("its checkpoints");
  TAPER_TRY(const Bytes record, load_record(txn, number));
  out.raw(as_bytes(kMagic)).text(origin).u64(number).block(record);
  out.u32(static_cast<std::uint32_t>(heads.size() - 1));
  for (const SignedHead& head : heads) {
    const bool last = &head == &heads.back();
    out.raw(encode(head));
    if (!last) {
      TAPER_TRY(const Bytes key, load_record(txn, head.size - 1));
      out.block(key);
    }
    TAPER_CHECK(add_path(txn, last ? number : head.size - 1, head.size, out));
  }
  return success();
}

}  // namespace

Result<std::optional<std::uint64_t>> find_record(const Store& store, LeafType type,
                                                 const std::function<bool(ByteSpan body)>& is_it) {
  std::optional<std::uint64_t> number;
  const Bytes front = record_bytes(type, {});
  TAPER_CHECK(store.read([&](const ReadTxn& txn) {
    return txn.scan_back(Table::log_leaves, {}, [&](ByteSpan key, ByteSpan record) {
      const bool found = record.size() >= front.size() &&
                         std::ranges::equal(record.first(front.size()), front) &&
                         is_it(record.subspan(front.size()));
      if (found) number = from_big_endian(key);
      return !found;
    });
  }));
  return number;
}

Result<Bytes> make_receipt(const Store& store, std::uint64_t number) {
  ByteWriter out;
  TAPER_CHECK(store.read([&](const ReadTxn& txn) -> Status {
    TAPER_TRY(const LoadedLog loaded, load_log(txn));
    return add_chain(txn, loaded.identity.origin, number, out);
  }));
  if (out.bytes().size() <= limits::kReceiptBytesMax) return std::move(out).bytes();
  return Error(Code::too_large, {"receipt", std::to_string(limits::kReceiptBytesMax),
                                 std::to_string(out.bytes().size()), ""});
}

}  // namespace taper::store
