#include <algorithm>

#include "capsule_generated.h"
#include "capsules/decode.h"
#include "capsules/secret.h"

namespace taper::capsules {

void decode_secrets(const WireTable& root, Field field, Capsule& out) {
  using S = wire::Secret;
  std::vector<std::string> unused;
  root.each(field, limits::kSecretsMax, S::VT_BOX, [&](const WireTable& table) {
    constexpr Field kName{S::VT_NAME, "name"};
    SealedSecret secret;
    secret.name = table.text(kName, limits::kSecretNameBytesMax);
    if (!is_secret_name(secret.name)) table.invalid(kName, "a plain name", secret.name);
    if (std::ranges::find(unused, secret.name) != unused.end())
      root.invalid(field, "each name once", secret.name);
    secret.box = table.data({S::VT_BOX, "box"}, limits::kSecretBoxBytesMax);
    unused.push_back(secret.name);
    out.secrets.push_back(std::move(secret));
  });
  for (const Grant& grant : out.grants) {
    for (const std::string& name : grant.secrets) {
      // Whatever has the name of a tool that is not pinned would be given the secret.
      if (grant.digest_kind != DigestKind::pinned)
        root.invalid(field, "grants that pin their tool", grant.id);
      if (std::ranges::find(out.secrets, name, &SealedSecret::name) == out.secrets.end())
        root.invalid(field, "every name that a grant has", name);
      std::erase(unused, name);
    }
  }
  if (!unused.empty()) root.invalid(field, "only what a grant names", unused.front());
}

}  // namespace taper::capsules
