// Who signs at the centre: issuers' keys in files, or in an ssh-agent.
#pragma once

#include <string>
#include <vector>

#include "capsules/author/request.h"
#include "tools/taper/keys.h"

namespace taper::tools {

struct SignerOptions {
  std::vector<std::string> keys;    // secret key files
  std::vector<std::string> agents;  // public keys whose secret an agent holds
  PassphraseOptions passphrase;
  void add_to(CLI::App* verb);
};

struct Signer {
  PublicKey key;
  crypto::Device device = crypto::Device::none;
  std::string given;  // as on the command line
  bool by_agent = false;
};

// The keys first, then the agent's; nothing secret is read. Errors: signer_unknown when the root
// does not list one as an issuer, key_role.
Result<std::vector<Signer>> find_signers(const SignerOptions& options,
                                         const capsules::TrustRoot& root);

// Opens every key before the first signature is made, then signs the payload with all of them.
class Signing {
 public:
  static Result<Signing> open(const std::vector<Signer>& signers, const SignerOptions& options);
  Result<std::vector<capsules::CapsuleSignature>> sign(ByteSpan payload, Output& out) const;

 private:
  struct Opened {
    Signer signer;
    std::optional<crypto::SigningKey> secret;  // empty: the agent's
  };
  std::vector<Opened> opened_;
};

Status check_issuer(const capsules::TrustRoot& root, const PublicKey& key,
                    const std::string& given);

// The secret key file beside which an issuer's counter of serials stands: F.key for F.pub.
// Error: usage when `public_file` is no file's name.
Result<std::string> counter_of(const std::string& public_file);

enum class Form : std::uint8_t { binary, armoured };
Status write_signed(const std::string& path, Form form, std::string_view label, ByteSpan bytes);
// What stands in the binary or armoured file.
Result<Bytes> read_signed(const std::string& path, std::string_view label);

}  // namespace taper::tools
