// links: taper_author
// What comes back from signers: requests, signatures, their text forms, and what OpenSSH writes.
#include "capsules/author/author.h"
#include "capsules/author/request.h"
#include "crypto/crypto.h"
#include "runtime/base/assert.h"
#include "tests/fuzz/planted.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace taper::capsules;
  static const bool ready = taper::crypto::initialise().ok();
  TAPER_ASSERT(ready);
  const taper::ByteSpan input(data, size);
  const std::string_view text = taper::as_text(input);
  const auto same = [&input](const taper::Bytes& written) {
    return written == taper::to_bytes(input);
  };
  const auto request = decode_request(input);
  TAPER_ASSERT(!request.ok() || same(encode_request(*request)));
  const auto signature = decode_signature(input);
  TAPER_ASSERT(!signature.ok() || same(encode_signature(*signature)));
  // The seeds' signatures are of another kind, or begin otherwise.
  taper::fuzz::planted_bug(signature.ok() && signature->signature.kind == kSkSshSignature &&
                           !signature->signature.signature.empty() &&
                           signature->signature.signature.front() != 'S');
  for (const std::string_view label : {kRequestLabel, kSignatureLabel}) {
    if (const auto bytes = unarmour(label, text); bytes.ok())
      TAPER_ASSERT(unarmour(label, armour(label, *bytes)).value() == *bytes);
  }
  if (const auto blob = ssh_unarmour(text); blob.ok()) TAPER_ASSERT(blob->size() <= size);
  if (const auto key = parse_ssh_public_key(text); key.ok())
    TAPER_ASSERT(
        taper::crypto::parse_public_key_file(taper::crypto::public_key_file_text(*key)).code() !=
        taper::Code::ok);  // no role yet
  return 0;
}
