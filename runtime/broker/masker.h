// Keeps a call's secrets out of what it gave back, before anything of it is stored, logged or
// shown. It knows a secret as it is, with any of its characters escaped as in JSON, in hex, and in
// base64 wherever it begins in what was encoded, both also broken by white space; a long line of a
// secret of several lines by itself too; and the part of one beside the mark of a cut. What a tool
// makes of a secret in any other way (escaped twice, reversed, split, compressed), it cannot know.
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
  enum class Kind : std::uint8_t { value, digits };  // digits: hex or base64
  struct Form {
    crypto::Secret bytes;
    std::string name;
    Kind kind;
  };
  struct Match {
    std::size_t begin, end;
    const std::string* name;
  };
  using Places = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
  void add(const std::string& name, std::string form, Kind kind);
  void add_value(const std::string& name, std::string_view value);
  void find(std::string_view reading, const Places& from, Kind kind,
            std::vector<Match>& found) const;
  void mask_keys(capsules::Object& object);
  std::vector<Form> forms_;
  std::vector<std::string> found_;
};

}  // namespace taper::broker
