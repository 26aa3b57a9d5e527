#include "store/auditor/receipt.h"

#include "runtime/base/limits.h"
#include "store/auditor/log_record.h"
#include "store/log_file.h"
#include "store/log_tree.h"

namespace taper::store {
namespace {

constexpr std::string_view kMagic = "TPX1";
constexpr std::size_t kPathMax = 64;

using Path = std::vector<TreeHash>;

// A checkpoint and, below it, the record that its path leads to.
struct Link {
  SignedHead head;
  ByteSpan record;
  std::uint64_t number = 0;
  Path path;
};

struct Receipt {
  std::string_view origin;
  std::vector<Link> links;  // log keys 1, 2, …, and last the record that it is about
};

Path take_path(ByteReader& reader) {
  Path path;
  const std::uint8_t count = reader.u8();
  if (count > kPathMax) reader.take(reader.left() + 1);
  for (std::uint8_t i = 0; i < count && reader.ok(); ++i)
    path.push_back(TreeHash::from(reader.take(TreeHash::kSize)).value_or(TreeHash{}));
  return path;
}

Error malformed(std::string_view field) {
  return Error(Code::receipt_malformed, {std::string(field), "", "", ""});
}
Error wrong(std::string field, std::string_view expected) {
  return Error(Code::receipt_wrong, {std::move(field), std::string(expected), "", ""});
}

Result<Receipt> parse_receipt(ByteSpan file) {
  if (file.size() > limits::kReceiptBytesMax) {
    return Error(Code::too_large, {"receipt", std::to_string(limits::kReceiptBytesMax),
                                   std::to_string(file.size()), ""});
  }
  ByteReader reader(file);
  Receipt receipt;
  if (as_text(reader.take(kMagic.size())) != kMagic) return malformed("magic");
  receipt.origin = as_text(reader.block(limits::kLogOriginBytesMax));
  Link last;
  last.number = reader.u64();
  last.record = take_record(reader);
  const std::uint32_t keys = reader.u32();
  std::uint64_t before = kFirstBoundary - 1;
  for (std::uint32_t i = 0; i < keys && reader.ok(); ++i) {
    Link link;
    link.head = take_signed_head(reader);
    link.record = take_record(reader);
    if (reader.ok() && link.head.size <= before) return malformed("checkpoint sizes");
    before = link.head.size;
    link.number = before - 1;
    link.path = take_path(reader);
    receipt.links.push_back(std::move(link));
  }
  last.head = take_signed_head(reader);
  last.path = take_path(reader);
  if (!reader.done()) return malformed("end");
  // There is one receipt of a record: under the first epoch that covers it.
  if (last.head.size <= before || last.number >= last.head.size ||
      (keys > 0 && last.number < before))
    return malformed("checkpoint sizes");
  receipt.links.push_back(std::move(last));
  return receipt;
}

// RFC 9162, 2.1.3.2.
bool leads_to_root(const Link& link) {
  TreeHash hash = leaf_hash(link.record);
  std::uint64_t here = link.number;
  std::uint64_t end = link.head.size - 1;
  for (const TreeHash& sibling : link.path) {
    if (end == 0) return false;
    if ((here & 1U) != 0 || here == end) {
      hash = node_hash(sibling, hash);
      while (here != 0 && (here & 1U) == 0) {
        here >>= 1U;
        end >>= 1U;
      }
    } else {
      hash = node_hash(hash, sibling);
    }
    here >>= 1U;
    end >>= 1U;
  }
  return end == 0 && hash == link.head.root;
}

Status check_link(const Link& link, const PublicKey& key, std::string_view origin,
                  std::uint64_t epoch) {
  const std::string place = "epoch " + std::to_string(epoch);
  if (!verify_head(key, origin, link.head, epoch))
    return wrong(place, "a checkpoint signed by its key");
  if (!leads_to_root(link))
    return wrong(place + ", record " + std::to_string(link.number),
                 "a path to the checkpoint's root");
  if (link.record.front() != kRecordVersion)
    return wrong(place + ", record " + std::to_string(link.number),
                 "a record of version " + std::to_string(kRecordVersion));
  return success();
}

}  // namespace

Result<CheckedReceipt> check_receipt(ByteSpan file, const LogTrust& trust) {
  TAPER_TRY(const Receipt receipt, parse_receipt(file));
  const std::string origin = "taper/" + trust.node.hex() + "/" + trust.incarnation.hex();
  if (receipt.origin != origin)
    return Error(Code::log_other_node, {"origin", origin, std::string(receipt.origin), ""});
  PublicKey key = trust.log_key_0;
  CheckedReceipt checked;
  for (const Link& link : receipt.links) {
    TAPER_CHECK(check_link(link, key, origin, checked.epoch));
    checked.record = to_record(link.number, link.record);
    checked.size = link.head.size;
    checked.root = link.head.root;
    if (&link == &receipt.links.back()) break;
    ++checked.epoch;
    const std::optional<PublicKey> next = announced_key(checked.record, checked.epoch);
    if (!next) return wrong("record " + std::to_string(link.number), "the next epoch and its key");
    key = *next;
  }
  return checked;
}

}  // namespace taper::store
