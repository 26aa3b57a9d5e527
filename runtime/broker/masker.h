// Keeps a call's secrets out of what it gave back, before anything of it is stored, logged or
// shown. It knows a secret as it is, in hex, in base64 (wherever it begins in what was encoded, and
// in lines of 76 columns) and as JSON writes it; a long line of a secret of several lines by itself
// too. What a tool makes of a secret in any other way, it cannot know.
#pragma once

#include <string>
#include <vector>

#include "runtime/authority/authority.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

class Masker {
 public:
  Masker() = default;
  // White space at the ends of a value is not part of it here. Secrets shorter than
  // limits::kMaskedBytesMin are not masked.
  explicit Masker(const std::vector<authority::CallSecret>& secrets);

  // Each secret becomes "[secret NAME]", and the text as it was is wiped. True: there was one.
  bool mask(std::string& text);
  // In texts, keys and numbers.
  void mask(capsules::Value& value);
  Error masked(const Error& error);
  const std::vector<std::string>& names() const { return found_; }  // of those met so far

 private:
  struct Form {
    crypto::Secret bytes;
    std::string name;
  };
  void add(const std::string& name, std::string form);
  void add_value(const std::string& name, std::string_view value);
  std::vector<Form> forms_;  // longest first
  std::vector<std::string> found_;
};

}  // namespace taper::broker
