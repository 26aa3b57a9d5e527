#include "capsules/builtins.h"

#include <algorithm>
#include <array>

namespace taper::capsules {
namespace {

InputSpec required(const char* name, InputType type) { return {name, type, false}; }
InputSpec optional(const char* name, InputType type) { return {name, type, true}; }

constexpr std::array<std::string_view, 4> kEffects = {"unset", "read", "write", "irreversible"};
constexpr std::array<std::string_view, 6> kInputTypes = {"unset",   "string",  "path",
                                                         "integer", "boolean", "json"};

// The enumerator whose word it is; unset, the first, when none is.
template <class Kind, std::size_t Count>
Kind of_word(const std::array<std::string_view, Count>& words, std::string_view word) {
  const auto found = std::find(words.begin(), words.end(), word);
  return found == words.end() ? Kind::unset : static_cast<Kind>(found - words.begin());
}

const std::array<BuiltinSpec, 6>& table() {
  static const std::array<BuiltinSpec, 6> builtins = {{
      {"file.read",
       "Reads a file, or a part of it",
       Effect::read,
       {required("path", InputType::path), optional("offset", InputType::integer),
        optional("max_bytes", InputType::integer)}},
      {"file.list",
       "Lists a directory",
       Effect::read,
       {required("path", InputType::path), optional("max_entries", InputType::integer)}},
      {"file.stat",
       "Tells size, kind and times of a file",
       Effect::read,
       {required("path", InputType::path)}},
      {"file.write",
       "Creates or replaces a file, atomically",
       Effect::write,
       {required("path", InputType::path), required("content", InputType::string),
        optional("encoding", InputType::string)}},
      {"file.append",
       "Appends to a file, or creates it",
       Effect::write,
       {required("path", InputType::path), required("content", InputType::string),
        optional("encoding", InputType::string)}},
      {"time.now", "Tells the node's time", Effect::read, {}},
  }};
  return builtins;
}

}  // namespace

std::span<const BuiltinSpec> builtins() { return table(); }

const BuiltinSpec* find_builtin(std::string_view name) {
  const auto& specs = table();
  const auto found = std::find_if(specs.begin(), specs.end(),
                                  [name](const BuiltinSpec& spec) { return spec.name == name; });
  return found == specs.end() ? nullptr : &*found;
}

std::string_view word(Effect effect) { return kEffects.at(static_cast<std::size_t>(effect)); }
std::string_view word(InputType type) { return kInputTypes.at(static_cast<std::size_t>(type)); }
Effect effect_of(std::string_view word) { return of_word<Effect>(kEffects, word); }
InputType input_type_of(std::string_view word) { return of_word<InputType>(kInputTypes, word); }

}  // namespace taper::capsules
