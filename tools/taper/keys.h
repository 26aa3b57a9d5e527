// Opening key files for a verb: passphrases come from a file, a descriptor or the terminal, never
// from an argument or the environment.
#pragma once

#include <string>

#include "crypto/key_file.h"
#include "tools/taper/command.h"

namespace taper::tools {

struct PassphraseOptions {
  std::string file;
  int fd = -1;
  void add_to(CLI::App* verb);
};

// Reads the secret key at `path`, which must have `role`. Asks on the terminal only when the file
// is locked and no option gives the passphrase. Error: passphrase_needed and those of
// crypto::read_key_file.
Result<crypto::SigningKey> open_key(const std::string& path, crypto::Role role,
                                    const PassphraseOptions& options);

// A new passphrase for `path`, asked twice on a terminal.
Result<crypto::Secret> new_passphrase(const std::string& path, const PassphraseOptions& options);

// A public key given as a NAME.pub file or as "tpk:…". Errors: those of read_public_key_file.
// Only a file can say that the key lives in a security key.
Result<crypto::PublicKeyFile> public_key_file_option(const std::string& given, crypto::Role role);
Result<PublicKey> public_key_option(const std::string& given, crypto::Role role);

}  // namespace taper::tools
