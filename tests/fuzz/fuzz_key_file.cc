// links: taper_crypto
// Key files: the public half as it travels, the secret half as it lies on a disk.
#include "crypto/crypto.h"
#include "crypto/key_file.h"
#include "crypto/key_text.h"
#include "tests/fuzz/planted.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace taper::crypto;
  static const bool ready = initialise().ok();
  if (!ready) __builtin_trap();
  const std::string_view text = taper::as_text(taper::ByteSpan(data, size));
  const auto open = parse_public_key_file(text);
  if (open.ok() && public_key_file_text(*open) != text) __builtin_trap();
  taper::fuzz::planted_bug(open.ok() && (open->key.bytes[31] & 0x0FU) == 7);
  const auto secret = parse_secret_key_text(text);
  if (secret.ok() && !text.starts_with(header_text(*secret))) __builtin_trap();
  // A key derivation is slow, whatever its parameters.
  if (secret.ok() && !secret->kdf) static_cast<void>(open_seed(*secret, ""));
  return 0;
}
