// What a server's tool was pinned to say of itself, as far as an agent is told of it: it helps in
// choosing and calling, and allows nothing. Of a tool of another kind there is nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/authority/tool.h"

namespace taper::broker {

// As long in a message as `most` at the most, and whole characters.
std::string cut_text(std::string_view text, std::size_t most);
// Whole, or empty where there is none or it is longer or deeper than can be told.
std::optional<capsules::Value> pinned_annotations(const authority::Tool& tool);
std::optional<capsules::Value> pinned_output_schema(const authority::Tool& tool);

class PinnedInputs {
 public:
  explicit PinnedInputs(const authority::Tool& tool);

  // The property's schema without its description. Empty where it says nothing, or refers to what
  // is not told along with it; and for a path, which is told in our own form.
  std::optional<capsules::Value> property(const capsules::InputSpec& input) const;
  std::string description(const std::string& input) const;  // cut; empty: none
  // Adds what any of `properties` refers to, as members of the schema around them.
  void add_definitions(capsules::Object& schema, const capsules::Value& properties) const;

 private:
  const capsules::Value* find(const std::string& input) const;

  capsules::Value schema_;
  bool closed_ = true;  // its definitions refer to each other alone
};

}  // namespace taper::broker
