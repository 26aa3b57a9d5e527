#include "capsules/trust_root.h"

#include <algorithm>
#include <limits>

#include "capsules/envelope.h"
#include "capsules/wire.h"
#include "crypto/crypto.h"
#include "root_generated.h"

namespace taper::capsules {
namespace {

using T = wire::TrustRoot;

constexpr std::string_view kMagic = "TPR1";
constexpr std::string_view kSecurityKeys = "security-keys";  // the feature behind Issuer.device
constexpr std::string_view kLongLeases = "long-leases";      // behind IssuerLimits.long_leases
constexpr std::string_view kTimeReset = "time-reset";

Error malformed(std::string field, std::string expected, std::string got) {
  return Error(Code::root_malformed, {std::move(field), std::move(expected), std::move(got), ""});
}

std::vector<PublicKey> decode_keys(const WireTable& root, Field field) {
  std::vector<PublicKey> out;
  root.each(field, limits::kRootKeysMax, wire::Key::VT_KEY, [&out](const WireTable& item) {
    out.push_back(item.id<PublicKey>({wire::Key::VT_KEY, "key"}));
  });
  if (repeated(out) != nullptr) root.invalid(field, "each key once", repeated(out)->hex());
  return out;
}

IssuerLimits decode_limits(const WireTable& table) {
  using L = wire::IssuerLimits;
  constexpr Field kTools{L::VT_TOOLS, "tools"};
  IssuerLimits out;
  out.max_ttl_ms = table.number({L::VT_MAX_TTL_MS, "max_ttl_ms"}, 1, limits::kLeaseTtlMaxMs);
  out.max_validity_s = table.number({L::VT_MAX_VALIDITY_S, "max_validity_s"}, 1, limits::kTimeMaxS);
  out.max_revocation_age_s =
      table.number({L::VT_MAX_REVOCATION_AGE_S, "max_revocation_age_s"}, 1, limits::kTimeMaxS);
  out.all_tools = table.flag({L::VT_ALL_TOOLS, "all_tools"});
  out.tools = table.names(kTools, limits::kListItemsMax);
  constexpr Field kLong{L::VT_LONG_LEASES, "long_leases"};
  out.long_leases = table.has(kLong) && table.flag(kLong);
  if (table.has(kLong) != out.long_leases) table.invalid(kLong, "true, or absent", "false");
  if (out.all_tools && !out.tools.empty()) table.invalid(kTools, "empty with all_tools", "tools");
  return out;
}

Issuer decode_issuer(const WireTable& table) {
  using I = wire::Issuer;
  Issuer out;
  out.key = table.id<PublicKey>({I::VT_KEY, "key"});
  out.not_before_s = table.maybe_number({I::VT_NOT_BEFORE_S, "not_before_s"}, 0, limits::kTimeMaxS);
  out.not_after_s = table.maybe_number({I::VT_NOT_AFTER_S, "not_after_s"},
                                       out.not_before_s.value_or(0), limits::kTimeMaxS);
  out.limits =
      decode_limits(table.table({I::VT_LIMITS, "limits"}, wire::IssuerLimits::VT_LONG_LEASES));
  constexpr Field kDevice{I::VT_DEVICE, "device"};
  if (table.has(kDevice)) out.device = table.choice(kDevice, crypto::Device::verified);
  return out;
}

void decode_issuers(const WireTable& root, TrustRootData& out) {
  constexpr Field kIssuers{T::VT_ISSUERS, "issuers"};
  root.each(kIssuers, limits::kIssuersMax, wire::Issuer::VT_DEVICE, [&](const WireTable& item) {
    Issuer issuer = decode_issuer(item);
    for (const Issuer& other : out.issuers) {
      if (other.key == issuer.key) root.invalid(kIssuers, "each key once", issuer.key.hex());
    }
    out.issuers.push_back(std::move(issuer));
  });
  root.require(kIssuers, !out.issuers.empty());
  out.issuer_threshold = root.count({T::VT_ISSUER_THRESHOLD, "issuer_threshold"},
                                    std::numeric_limits<std::uint32_t>::max());
}

void decode_roles(const WireTable& root, TrustRootData& out) {
  constexpr Field kRootKeys{T::VT_ROOT_KEYS, "root_keys"};
  out.root_keys = decode_keys(root, kRootKeys);
  root.require(kRootKeys, !out.root_keys.empty());
  out.root_threshold = root.count({T::VT_ROOT_THRESHOLD, "root_threshold"},
                                  std::numeric_limits<std::uint32_t>::max());
  decode_issuers(root, out);
  out.approvers = decode_keys(root, {T::VT_APPROVERS, "approvers"});
  out.publishers = decode_keys(root, {T::VT_PUBLISHERS, "publishers"});
  out.revokers = decode_keys(root, {T::VT_REVOKERS, "revokers"});
  out.registrars = decode_keys(root, {T::VT_REGISTRARS, "registrars"});
  out.time_keys = decode_keys(root, {T::VT_TIME_KEYS, "time_keys"});
  out.auditors = decode_keys(root, {T::VT_AUDITORS, "auditors"});
  out.allocators = decode_keys(root, {T::VT_ALLOCATORS, "allocators"});
}

// What a reader must know to read this root, in this order.
std::vector<std::string> features_of(const TrustRootData& data) {
  const std::vector<Issuer>& issuers = data.issuers;
  std::vector<std::string> out;
  if (std::ranges::any_of(issuers, [](const Issuer& i) { return i.limits.long_leases; }))
    out.emplace_back(kLongLeases);
  if (std::ranges::any_of(issuers,
                          [](const Issuer& i) { return i.device != crypto::Device::none; }))
    out.emplace_back(kSecurityKeys);
  if (data.time_reset) out.emplace_back(kTimeReset);
  return out;
}

Result<TrustRootData> decode_root(ByteSpan payload) {
  WireBuffer buffer(payload);
  TAPER_CHECK(buffer.verify<T>(wire::TrustRootIdentifier(), limits::kRootBytesMax));
  const WireTable root = buffer.root(T::VT_TIME_RESET);
  constexpr Field kFleet{T::VT_FLEET, "fleet"};
  constexpr Field kPrevious{T::VT_PREVIOUS, "previous"};
  TrustRootData out;
  constexpr Field kFeatures{T::VT_FEATURES, "features"};
  std::vector<std::string> features =
      root.check_features(kFeatures, {kLongLeases, kSecurityKeys, kTimeReset});
  out.version = root.serial({T::VT_VERSION, "version"});
  if (root.has(kFleet)) out.fleet = root.id<Hash>(kFleet);
  if (root.has(kPrevious)) out.previous = root.id<Hash>(kPrevious);
  out.issued_at_s = root.number({T::VT_ISSUED_AT_S, "issued_at_s"}, 0, limits::kTimeMaxS);
  out.expires_s =
      root.maybe_number({T::VT_EXPIRES_S, "expires_s"}, out.issued_at_s, limits::kTimeMaxS);
  decode_roles(root, out);
  constexpr Field kReset{T::VT_TIME_RESET, "time_reset"};
  out.time_reset = root.has(kReset) && root.flag(kReset);
  if (root.has(kReset) != out.time_reset) root.invalid(kReset, "true, or absent", "false");
  std::ranges::sort(features);
  if (features != features_of(out)) {
    root.invalid(kFeatures, "exactly those that what it says needs", "");
  }
  TAPER_CHECK(buffer.finish());
  return out;
}

Status check_sense(const TrustRootData& data) {
  const bool first = data.version == 1;
  if (data.fleet.has_value() == first) {
    return malformed("fleet", first ? "absent in version 1" : "the hash of version 1", "");
  }
  if (data.previous.has_value() == first) {
    return malformed("previous", first ? "absent in version 1" : "the version before", "");
  }
  if (data.time_reset && first) return malformed("time_reset", "absent in version 1", "true");
  if (data.root_threshold > data.root_keys.size()) {
    return malformed("root_threshold", "at most the number of root keys",
                     std::to_string(data.root_threshold));
  }
  if (data.issuer_threshold > data.issuers.size()) {
    return malformed("issuer_threshold", "at most the number of issuers",
                     std::to_string(data.issuer_threshold));
  }
  return success();
}

Status check_root_signatures(const SignedPart& part, const TrustRootData& data) {
  TAPER_CHECK(check_signers(part.signatures));
  for (const SignatureView& signature : part.signatures) {
    const auto key = std::find_if(
        data.root_keys.begin(), data.root_keys.end(),
        [&](const PublicKey& listed) { return crypto::key_id(listed) == signature.key; });
    if (key == data.root_keys.end()) {
      return malformed("signatures", "signatures of its own root keys", signature.key.hex());
    }
    if (signature.kind != kRawSignature) {
      return Error(Code::not_enforced_yet,
                   {"signatures.kind", "1 (Ed25519)", std::to_string(signature.kind), ""});
    }
    TAPER_CHECK(check_signature(*key, crypto::Device::none, crypto::statement::kRoot, part.payload,
                                signature));
  }
  if (part.signatures.size() >= data.root_threshold) return success();
  return Error(Code::too_few_signatures, {"signatures", std::to_string(data.root_threshold),
                                          std::to_string(part.signatures.size()), ""});
}

using Builder = flatbuffers::FlatBufferBuilder;

auto write_keys(Builder& fbb, const std::vector<PublicKey>& keys) {
  std::vector<flatbuffers::Offset<wire::Key>> out;
  for (const PublicKey& key : keys) {
    out.push_back(wire::CreateKey(fbb, fbb.CreateVector(key.bytes.data(), key.bytes.size())));
  }
  return fbb.CreateVector(out);
}

flatbuffers::Optional<std::int64_t> maybe(std::optional<std::int64_t> value) {
  if (!value) return flatbuffers::nullopt;
  return *value;
}

flatbuffers::Optional<bool> maybe_true(bool value) {
  if (!value) return flatbuffers::nullopt;
  return true;
}

auto write_issuers(Builder& fbb, const std::vector<Issuer>& issuers) {
  std::vector<flatbuffers::Offset<wire::Issuer>> out;
  for (const Issuer& issuer : issuers) {
    const IssuerLimits& limits = issuer.limits;
    const auto tools = fbb.CreateVectorOfStrings(limits.tools);
    const auto written = wire::CreateIssuerLimits(fbb, limits.max_ttl_ms, limits.max_validity_s,
                                                  limits.max_revocation_age_s, limits.all_tools,
                                                  tools, maybe_true(limits.long_leases));
    const auto key = fbb.CreateVector(issuer.key.bytes.data(), issuer.key.bytes.size());
    flatbuffers::Optional<wire::Device> device = flatbuffers::nullopt;
    if (issuer.device != crypto::Device::none) device = static_cast<wire::Device>(issuer.device);
    out.push_back(wire::CreateIssuer(fbb, key, maybe(issuer.not_before_s),
                                     maybe(issuer.not_after_s), written, device));
  }
  return fbb.CreateVector(out);
}

flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> write_hash(Builder& fbb,
                                                                  const std::optional<Hash>& hash) {
  return hash ? fbb.CreateVector(hash->bytes.data(), hash->bytes.size()) : 0;
}

}  // namespace

const Issuer* TrustRoot::issuer(const KeyId& id) const {
  const auto found = std::find(issuer_ids_.begin(), issuer_ids_.end(), id);
  if (found == issuer_ids_.end()) return nullptr;
  return &data_.issuers[static_cast<std::size_t>(found - issuer_ids_.begin())];
}

Result<TrustRoot> open_root(ByteSpan file) {
  if (file.size() > limits::kRootBytesMax) {
    return Error(Code::too_large,
                 {"root", "at most " + std::to_string(limits::kRootBytesMax) + " bytes",
                  std::to_string(file.size()) + " bytes", ""});
  }
  ByteReader reader(file);
  TAPER_TRY(const SignedPart part, read_signed_part(reader, kMagic, limits::kRootBytesMax));
  if (!reader.done()) {
    return Error(Code::envelope_malformed, {"end", "the end of the file", "more bytes", ""});
  }
  // The keys that must have signed stand in the payload itself, so it is parsed first; who is
  // trusted is decided by whoever imports or pins it.
  TrustRoot root;
  TAPER_TRY(root.data_, decode_root(part.payload));
  TAPER_CHECK(check_sense(root.data_));
  TAPER_CHECK(check_root_signatures(part, root.data_));
  for (const Issuer& issuer : root.data_.issuers) {
    root.issuer_ids_.push_back(crypto::key_id(issuer.key));
  }
  for (const SignatureView& signature : part.signatures) root.signers_.push_back(signature.key);
  root.hash_ = crypto::hash(part.payload);
  root.fleet_ = root.data_.fleet.value_or(root.hash_);
  return root;
}

Result<Bytes> encode_root(const TrustRootData& data) {
  TAPER_CHECK(check_sense(data));
  Builder fbb;
  const auto features = fbb.CreateVectorOfStrings(features_of(data));
  const auto fleet = write_hash(fbb, data.fleet);
  const auto previous = write_hash(fbb, data.previous);
  const auto root_keys = write_keys(fbb, data.root_keys);
  const auto issuers = write_issuers(fbb, data.issuers);
  const auto approvers = write_keys(fbb, data.approvers);
  const auto publishers = write_keys(fbb, data.publishers);
  const auto revokers = write_keys(fbb, data.revokers);
  const auto registrars = write_keys(fbb, data.registrars);
  const auto time_keys = write_keys(fbb, data.time_keys);
  const auto auditors = write_keys(fbb, data.auditors);
  const auto allocators = write_keys(fbb, data.allocators);
  wire::FinishTrustRootBuffer(
      fbb, wire::CreateTrustRoot(fbb, features, data.version, fleet, previous, data.issued_at_s,
                                 maybe(data.expires_s), root_keys, data.root_threshold, issuers,
                                 data.issuer_threshold, approvers, publishers, revokers, registrars,
                                 time_keys, auditors, allocators, maybe_true(data.time_reset)));
  const ByteSpan payload(fbb.GetBufferPointer(), fbb.GetSize());
  // What this would refuse to read, it must not give out to be signed.
  TAPER_CHECK(decode_root(payload));
  return to_bytes(payload);
}

Bytes frame_root(ByteSpan payload, const std::vector<RootSignature>& signatures) {
  ByteWriter writer;
  write_signed_part(writer, kMagic, payload, views(signatures));
  return std::move(writer).bytes();
}

}  // namespace taper::capsules
