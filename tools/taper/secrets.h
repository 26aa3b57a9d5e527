// Sealed secrets at the centre: values come from files, never from an argument, the environment or
// a source.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "capsules/author/author.h"
#include "crypto/secret.h"
#include "tools/taper/command.h"

namespace taper::tools {

struct SecretOptions {
  std::vector<std::string> given;  // NAME=FILE
  void add_to(CLI::App* verb);
};
using SecretValues = std::map<std::string, crypto::Secret, std::less<>>;

// A value for each secret of the capsule, and for no other. A file must be as well kept as a key
// file. Errors: usage, field_missing, too_large, those of crypto::read_secret_file.
Result<SecretValues> read_secret_values(const SecretOptions& options,
                                        const capsules::Capsule& capsule);
// A note for each value that is too short to be masked in what a tool prints.
std::vector<capsules::Finding> short_secrets(const SecretValues& values);
// Fills the boxes of a capsule that is complete otherwise. `node_record` is the path of node.pub.
// Errors: field_missing, audience_other, those of reading node.pub.
Status seal_secrets(const SecretValues& values, const std::string& node_record,
                    capsules::Capsule& capsule);

}  // namespace taper::tools
