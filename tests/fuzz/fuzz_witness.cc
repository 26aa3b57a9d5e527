// links: taper_auditor
// A witness's memory, from the centre's disk, damaged in any way that its check does not show: the
// input is what stands before the last line.
#include "crypto/crypto.h"
#include "store/auditor/witness.h"
#include "tests/fuzz/planted.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const taper::ByteSpan front(data, size);
  std::string text(taper::as_text(front));
  text += "check " + taper::crypto::hash(front).hex() + "\n";
  const auto memory = taper::store::WitnessMemory::parse(text);
  if (!memory.ok()) return 0;
  if (memory->text().value() != text) __builtin_trap();
  // The corpus has even times.
  bool odd = false;
  for (const taper::store::Seen& seen : memory->seen()) odd = odd || seen.time_s % 2 != 0;
  taper::fuzz::planted_bug(odd);
  return 0;
}
