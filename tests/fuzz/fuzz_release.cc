// links: taper_capsules
// Releases of a log: whole files, and payloads that an auditor signed.
#include "capsules/signed_release.h"
#include "crypto/crypto.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "tests/fuzz/planted.h"

namespace {

using namespace taper;

capsules::TrustRoot root_of(const crypto::SigningKey& key) {
  capsules::TrustRootData data;
  data.version = 1;
  data.issued_at_s = 1;
  data.root_keys = {key.public_key()};
  data.root_threshold = 1;
  capsules::Issuer& issuer = data.issuers.emplace_back();
  issuer.key = key.public_key();
  issuer.limits = {1, 1, 1, true, {}, false};
  data.issuer_threshold = 1;
  data.auditors = {key.public_key()};
  const Bytes payload = capsules::encode_root(data).value();
  const capsules::RootSignature signature{crypto::key_id(key.public_key()),
                                          key.sign(crypto::statement::kRoot, payload)};
  return capsules::open_root(capsules::frame_root(payload, {signature})).value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TAPER_ASSERT(crypto::initialise().ok());
  static const crypto::SigningKey key = crypto::SigningKey::from_seed(Bytes(32, 7));
  static const capsules::TrustRoot root = root_of(key);
  const ByteSpan input(data, size);
  TAPER_ASSERT(!capsules::open_release(input, root).ok());  // nobody signed it
  if (size > limits::kReleaseBytesMax) return 0;
  const capsules::RootSignature signature{crypto::key_id(key.public_key()),
                                          key.sign(crypto::statement::kRelease, input)};
  const auto release = capsules::open_release(capsules::frame_release(input, signature), root);
  if (!release.ok()) return 0;
  TAPER_ASSERT(capsules::encode_release(*release).value() == to_bytes(input));  // one form only
  // The seeds release at most a thousand records.
  fuzz::planted_bug(release->size > 1000);
  return 0;
}
