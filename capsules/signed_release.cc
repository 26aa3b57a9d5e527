#include "capsules/signed_release.h"

#include <algorithm>
#include <limits>

#include "capsules/envelope.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

constexpr std::string_view kMagic = "TPL1";
constexpr std::uint64_t kLeast = 2;

Status check(const LogRelease& release) {
  const bool counts = release.size >= kLeast && std::in_range<std::int64_t>(release.size);
  if (!counts)
    return Error(Code::field_invalid,
                 {"size", "2 records or more", std::to_string(release.size), ""});
  if (!release.node.is_zero() && !release.incarnation.is_zero()) return success();
  return Error(Code::field_invalid, {"origin", "no part all zero", "", ""});
}

}  // namespace

Result<Bytes> encode_release(const LogRelease& release) {
  TAPER_CHECK(check(release));
  ByteWriter out;
  out.raw(release.node.span()).raw(release.incarnation.span()).u64(release.size);
  return std::move(out.raw(release.root.span())).bytes();
}

Bytes frame_release(ByteSpan payload, const RootSignature& signature) {
  ByteWriter out;
  write_signed_part(out, kMagic, payload, views({signature}));
  return std::move(out).bytes();
}

bool is_release(ByteSpan file) { return as_text(file).starts_with(kMagic); }

Result<LogRelease> open_release(ByteSpan file, const TrustRoot& root) {
  if (file.size() > limits::kReleaseBytesMax)
    return Error(Code::too_large,
                 {"release", "at most " + std::to_string(limits::kReleaseBytesMax) + " bytes",
                  std::to_string(file.size()) + " bytes", ""});
  ByteReader framed(file);
  TAPER_TRY(const SignedPart part, read_signed_part(framed, kMagic, limits::kReleaseBytesMax));
  if (!framed.done() || part.signatures.size() != 1)
    return Error(Code::envelope_malformed, {"signatures", "one, and the end of the file", "", ""});
  TAPER_CHECK(check_signers(part.signatures));
  const SignatureView& signature = part.signatures.front();
  const auto& keys = root.data().auditors;
  const auto key = std::ranges::find(keys, signature.key, crypto::key_id);
  if (key == keys.end())
    return Error(Code::release_signer,
                 {"signatures", "an auditor of root " + std::to_string(root.data().version),
                  signature.key.hex(), ""});
  TAPER_CHECK(check_signature(*key, crypto::Device::none, crypto::statement::kRelease, part.payload,
                              signature));
  ByteReader in(part.payload);
  LogRelease release;
  release.node = PublicKey::from(in.take(PublicKey::kSize)).value_or(PublicKey{});
  release.incarnation = Incarnation::from(in.take(Incarnation::kSize)).value_or(Incarnation{});
  release.size = in.u64();
  release.root = TreeHash::from(in.take(TreeHash::kSize)).value_or(TreeHash{});
  release.signer = signature.key;
  if (!in.done())
    return Error(Code::payload_malformed, {"release", "a whole one, and no more", "", ""});
  TAPER_CHECK(check(release));
  return release;
}

}  // namespace taper::capsules
