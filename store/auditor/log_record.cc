#include "store/auditor/log_record.h"

#include "runtime/base/text.h"
#include "store/log_statements.h"

namespace taper::store {
namespace {

struct TypeName {
  LeafType type;
  std::string_view name;
};
constexpr TypeName kTypeNames[] = {
    {LeafType::incarnation, "incarnation"},
    {LeafType::log_key, "log_key"},
    {LeafType::import, "import"},
    {LeafType::activation, "activation"},
    {LeafType::decision, "decision"},
    {LeafType::outcome, "outcome"},
    {LeafType::ending, "ending"},
    {LeafType::terminal, "terminal"},
    {LeafType::refusals, "refusals"},
    {LeafType::evidence, "evidence"},
    {LeafType::recovery, "recovery"},
    {LeafType::reading, "reading"},
    {LeafType::time_step, "time_step"},
    {LeafType::beacon, "beacon"},
    {LeafType::order, "order"},
    {LeafType::release, "release"},
};

}  // namespace

LogRecord to_record(std::uint64_t number, ByteSpan bytes) {
  ByteReader reader(bytes);
  reader.u8();
  LogRecord record;
  record.number = number;
  record.type = reader.u16();
  record.type_name = "unknown";
  record.body = as_text(reader.take(reader.left()));
  for (const TypeName& known : kTypeNames) {
    if (record.type == static_cast<std::uint16_t>(known.type)) record.type_name = known.name;
  }
  return record;
}

std::optional<PublicKey> announced_key(const LogRecord& record, std::uint64_t epoch) {
  // The key stands at a fixed place before the end: ..."}.
  constexpr std::size_t kTail = 2;
  constexpr std::size_t kKeyDigits = 2 * PublicKey::kSize;
  if (record.body.size() < kKeyDigits + kTail) return std::nullopt;
  const auto key =
      PublicKey::from_hex(record.body.substr(record.body.size() - kKeyDigits - kTail, kKeyDigits));
  const bool exact = record.type == static_cast<std::uint16_t>(LeafType::log_key) && key &&
                     record.body == log_key_body(epoch, *key);
  return exact ? key : std::nullopt;
}

}  // namespace taper::store
