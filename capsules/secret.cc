#include "capsules/secret.h"

#include <algorithm>

#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

Error unsealed(const std::string& name, const char* field, const char* expected) {
  return Error(Code::secret_unsealed, {"secrets." + name + "." + field, expected, "another", ""});
}

Bytes used_by(const Capsule& capsule, const std::string& name) {
  ByteWriter grants;
  std::uint32_t count = 0;
  for (const Grant& grant : capsule.grants) {
    if (std::ranges::find(grant.secrets, name) == grant.secrets.end()) continue;
    grants.text(grant.id);
    ++count;
  }
  return ByteWriter().u32(count).raw(grants.bytes()).bytes();
}

}  // namespace

bool is_secret_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !name.empty() && name.size() <= limits::kSecretNameBytesMax && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
         });
}

std::vector<BoundPart> bound_parts(const Capsule& capsule, const std::string& name) {
  constexpr std::uint32_t kDestinations = 0;  // no tool of this version speaks to a host
  return {{"version", ByteWriter().text("taper secret v1").bytes()},
          {"fleet", to_bytes(capsule.fleet.span())},
          {"issuer", to_bytes(capsule.issuer.span())},
          {"serial", ByteWriter().u64(capsule.serial).bytes()},
          {"node", to_bytes(capsule.audience.node.span())},
          {"name", ByteWriter().text(name).bytes()},
          {"grants", used_by(capsule, name)},
          {"destinations", ByteWriter().u32(kDestinations).bytes()},
          {"not_after_s", ByteWriter().i64(capsule.not_after_s).bytes()}};
}

Result<crypto::Secret> open_secret(const Capsule& capsule, const SealedSecret& secret,
                                   const crypto::UnsealingKey& key) {
  const Result<crypto::Secret> plain = key.open(secret.box);
  if (!plain) return unsealed(secret.name, "box", "sealed to this node's key");
  ByteReader in(plain->bytes());
  for (const BoundPart& part : bound_parts(capsule, secret.name)) {
    if (!std::ranges::equal(in.take(part.bytes.size()), part.bytes))
      return unsealed(secret.name, part.field, "that of the capsule around it");
  }
  const ByteSpan value = in.block(limits::kSecretBytesMax);
  if (!in.done() || value.empty()) return unsealed(secret.name, "value", "one value, then the end");
  return crypto::Secret::copy_of(value);
}

}  // namespace taper::capsules
