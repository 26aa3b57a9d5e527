// links: taper_store
// The auditor's side: an exported log from an untrusted host.
#include "store/audit_verify.h"
#include "tests/fuzz/planted.h"

namespace {

using taper::ByteSpan;

// What the file says of itself, so that verification gets as far as the bytes let it.
struct Claims {
  taper::store::LogTrust trust;

  void take(const taper::store::LogRecord& record) {
    constexpr std::string_view kNode = R"("origin":"taper/)";
    constexpr std::string_view kIncarnation = R"("incarnation":")";
    constexpr std::string_view kKey = R"("key":")";
    take_hex(record.body, kNode, trust.node);
    take_hex(record.body, kIncarnation, trust.incarnation);
    if (record.number == 1) take_hex(record.body, kKey, trust.log_key_0);
  }

  template <class Id>
  static void take_hex(std::string_view body, std::string_view label, Id& id) {
    const std::size_t at = body.find(label);
    if (at == std::string_view::npos) return;
    if (const auto found = Id::from_hex(body.substr(at + label.size(), 2 * Id::kSize))) id = *found;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan file(data, size);
  Claims claims;
  bool newer_type = false;
  const auto read = taper::store::read_log(file, [&](const taper::store::LogRecord& record) {
    claims.take(record);
    newer_type = newer_type || (record.type_name == "unknown" && record.number > 1);
  });
  taper::fuzz::planted_bug(read.ok() && newer_type);
  const auto verified = taper::store::verify_log(file, claims.trust);
  if (verified.ok() && !read.ok()) __builtin_trap();
  return 0;
}
