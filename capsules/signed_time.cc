#include "capsules/signed_time.h"

#include "capsules/envelope.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

constexpr std::string_view kAsks = "TPH1";
constexpr std::string_view kTells = "TPT1";
constexpr std::uint8_t kToAll = 1, kToOne = 2;

Status check_size(ByteSpan file) {
  if (file.size() <= limits::kTimeFileBytesMax) return success();
  return Error(Code::too_large,
               {"time", "at most " + std::to_string(limits::kTimeFileBytesMax) + " bytes",
                std::to_string(file.size()) + " bytes", ""});
}

Error invalid(std::string field, std::string expected, std::int64_t got) {
  return Error(Code::field_invalid,
               {std::move(field), std::move(expected), std::to_string(got), ""});
}

void write(ByteWriter& out, const TimeChallenge& c) {
  out.raw(c.node.span()).raw(c.incarnation.span()).raw(c.boot.span()).raw(c.nonce.span());
}

TimeChallenge read(ByteReader& in) {
  TimeChallenge c;
  c.node = PublicKey::from(in.take(PublicKey::kSize)).value_or(PublicKey{});
  c.incarnation = Incarnation::from(in.take(Incarnation::kSize)).value_or(Incarnation{});
  c.boot = BootId::from(in.take(BootId::kSize)).value_or(BootId{});
  c.nonce = Nonce::from(in.take(Nonce::kSize)).value_or(Nonce{});
  return c;
}

Status check(const TimeChallenge& c) {
  const bool whole =
      !c.node.is_zero() && !c.incarnation.is_zero() && !c.boot.is_zero() && !c.nonce.is_zero();
  return whole ? success() : Status(invalid("challenge", "no part all zero", 0));
}

Status check(const SignedTime& time) {
  if (time.midpoint_s < 0 || time.midpoint_s > limits::kTimeMaxS)
    return invalid("midpoint_s", "a time from 1970 to 9999", time.midpoint_s);
  if (time.radius_s < 0 || time.radius_s > limits::kTimeRadiusMaxS)
    return invalid("radius_s", "0 to " + std::to_string(limits::kTimeRadiusMaxS), time.radius_s);
  return time.answers ? check(*time.answers) : success();
}

}  // namespace

Bytes encode_time_challenge(const TimeChallenge& challenge) {
  ByteWriter out;
  out.raw(as_bytes(kAsks));
  write(out, challenge);
  return std::move(out).bytes();
}

Result<TimeChallenge> decode_time_challenge(ByteSpan file) {
  TAPER_CHECK(check_size(file));
  ByteReader in(file);
  const bool asks = as_text(in.take(kAsks.size())) == kAsks;
  const TimeChallenge challenge = read(in);
  if (!asks || !in.done())
    return Error(Code::envelope_malformed, {"challenge", "a whole one and no more", "", ""});
  TAPER_CHECK(check(challenge));
  return challenge;
}

bool is_signed_time(ByteSpan file) {
  const std::string_view text = as_text(file);
  return text.starts_with(kAsks) || text.starts_with(kTells);
}

Result<Bytes> encode_time(const SignedTime& time) {
  TAPER_CHECK(check(time));
  ByteWriter out;
  out.u8(time.answers ? kToOne : kToAll).i64(time.midpoint_s).i64(time.radius_s);
  if (time.answers) write(out, *time.answers);
  return std::move(out).bytes();
}

Bytes frame_time(ByteSpan payload, const RootSignature& signature) {
  ByteWriter out;
  write_signed_part(out, kTells, payload, views({signature}));
  return std::move(out).bytes();
}

Result<SignedTime> open_time(ByteSpan file, const TrustRoot& root) {
  TAPER_TRY(const SoleSignature opened,
            open_sole_signature(
                file, {.what = "time",
                       .magic = kTells,
                       .bytes_max = limits::kTimeFileBytesMax,
                       .statement = crypto::statement::kTime,
                       .keys = root.data().time_keys,
                       .others = Code::time_signer,
                       .signer = "a time key of root " + std::to_string(root.data().version)}));
  ByteReader in(opened.payload);
  const std::uint8_t form = in.u8();
  SignedTime time;
  time.midpoint_s = in.i64();
  time.radius_s = in.i64();
  time.signer = opened.signer;
  if (form == kToOne) time.answers = read(in);
  if (!in.done() || (form != kToAll && form != kToOne))
    return Error(Code::payload_malformed, {"time", "a form that is known, and no more", "", ""});
  TAPER_CHECK(check(time));
  return time;
}

}  // namespace taper::capsules
