// The words for enumerated values (effects: builtins.h), in texts for people and in JSON alike.
#pragma once

#include <string_view>

#include "capsules/builtins.h"
#include "crypto/sshsig.h"

namespace taper::capsules {

std::string_view word(Verb verb);
std::string_view word(TimeAssurance assurance);
std::string_view word(Tier tier);
std::string_view word(EntryKind entry);
std::string_view word(OnError on_error);
std::string_view word(crypto::Device device);

}  // namespace taper::capsules
