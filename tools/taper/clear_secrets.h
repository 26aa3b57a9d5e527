// Secrets that stand in clear in the files of a node's tools.
#pragma once

#include <string>
#include <vector>

#include "runtime/broker/embedded.h"

namespace taper::tools {

struct ClearSecret {
  std::string tool;
  std::string kind;  // "a password", never the secret itself
};
// A secret in a tool's file belongs to everybody who may read it, and to every task.
std::vector<ClearSecret> clear_secrets(const authority::Tools& tools);

}  // namespace taper::tools
