// links: taper_auditor
// A receipt from whoever wants to be believed.
#include "runtime/base/limits.h"
#include "store/auditor/receipt.h"
#include "tests/fuzz/planted.h"

namespace {

using taper::ByteSpan;

// What the file says of itself, so that checking gets as far as the bytes let it. Log key 0 is not
// in it: the first signature is where it ends.
taper::store::LogTrust claimed(taper::ByteReader& reader) {
  constexpr std::size_t kMagic = 4;
  constexpr std::size_t kFront = 6;  // "taper/"
  constexpr std::size_t kKey = 2 * taper::PublicKey::kSize;
  reader.take(kMagic);
  const std::string origin = reader.text(taper::limits::kLogOriginBytesMax);
  taper::store::LogTrust trust;
  if (origin.size() < kFront + kKey + 1) return trust;
  const std::string_view rest = std::string_view(origin).substr(kFront);
  trust.node = taper::PublicKey::from_hex(rest.substr(0, kKey)).value_or(trust.node);
  trust.incarnation =
      taper::Incarnation::from_hex(rest.substr(kKey + 1)).value_or(trust.incarnation);
  return trust;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan file(data, size);
  taper::ByteReader reader(file);
  const taper::store::LogTrust trust = claimed(reader);
  const std::uint64_t number = reader.u64();
  const auto checked = taper::store::check_receipt(file, trust);
  // The framing was taken, and the number is none of the corpus.
  taper::fuzz::planted_bug(checked.code() == taper::Code::receipt_wrong && number % 8 == 5);
  if (checked.ok()) __builtin_trap();
  return 0;
}
