#include "runtime/broker/tool_keys.h"

#include <algorithm>

#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

bool is_env_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  return !name.empty() && is_letter(name.front()) && !name.starts_with("LD_") &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

bool is_tool_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (name.empty() || name.size() > limits::kNameBytesMax || !letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

bool is_server_name(std::string_view name) {
  return is_tool_name(name) && name.find('.') == std::string_view::npos;
}

Error wrong_key(std::string_view field, std::string_view expected, std::string_view got) {
  return Error(Code::tool_file_malformed, {.field = std::string(field),
                                           .expected = std::string(expected),
                                           .got = std::string(got),
                                           .fix = ""});
}

Status only_keys(const toml::table& table, std::string_view where,
                 std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : table) {
    if (std::find(known.begin(), known.end(), key.str()) == known.end())
      return wrong_key(std::string(where) + std::string(key.str()), "no such key");
  }
  return success();
}

Result<std::string> text_in(const toml::table& table, std::string_view key,
                            std::string_view where) {
  const toml::value<std::string>* value = table[key].as_string();
  if (value == nullptr) return wrong_key(std::string(where) + std::string(key), "a string");
  return value->get();
}

Result<capsules::Effect> effect_in(const toml::table& table, std::string_view where) {
  TAPER_TRY(const std::string word, text_in(table, "effect", where));
  const capsules::Effect effect = capsules::effect_of(word);
  if (effect != capsules::Effect::unset) return effect;
  return wrong_key(std::string(where) + "effect", "read, write or irreversible", word);
}

Result<std::vector<std::string>> words_in(const toml::table& table, std::string_view key,
                                          std::size_t most, std::string_view where) {
  std::vector<std::string> words;
  if (!table.contains(key)) return words;
  const std::string field = std::string(where) + std::string(key);
  const toml::array* array = table[key].as_array();
  if (array == nullptr || array->size() > most)
    return wrong_key(field, "a list of at most " + std::to_string(most) + " strings");
  for (const toml::node& node : *array) {
    const toml::value<std::string>* word = node.as_string();
    if (word == nullptr || word->get().empty() || !is_plain_text(word->get()))
      return wrong_key(field, "strings without NUL that are not empty");
    if (std::ranges::find(words, word->get()) != words.end())
      return wrong_key(field, "each string once", word->get());
    words.push_back(word->get());
  }
  return words;
}

Result<std::vector<std::string>> secrets_in(const toml::table& file) {
  TAPER_TRY(std::vector<std::string> names, words_in(file, "secrets", limits::kSecretsMax));
  if (!std::ranges::all_of(names, capsules::is_secret_name))
    return wrong_key("secrets", "names of letters, digits, '.', '_' and '-', a letter first");
  return names;
}

Result<std::vector<std::string>> env_in(const toml::table& file) {
  std::vector<std::string> words;
  if (!file.contains("env")) return words;
  const toml::table* table = file["env"].as_table();
  if (table == nullptr || table->size() > limits::kToolEnvMax)
    return wrong_key("env", "a table of at most " + std::to_string(limits::kToolEnvMax) + " texts");
  std::size_t bytes = 0;
  for (const auto& [key, node] : *table) {
    const std::string name(key.str());
    if (!is_env_name(name))
      return wrong_key("env." + name, "a name of letters, digits and '_' that is not the loader's");
    const toml::value<std::string>* value = node.as_string();
    if (value == nullptr || !is_plain_text(value->get()))
      return wrong_key("env." + name, "a text without NUL");
    words.push_back(name + "=" + value->get());
    bytes += words.back().size();
  }
  if (bytes > limits::kToolEnvBytesMax)
    return wrong_key("env", "at most " + std::to_string(limits::kToolEnvBytesMax) + " bytes",
                     std::to_string(bytes));
  std::ranges::sort(words);
  return words;
}

bool is_plain_text(std::string_view text) {
  return text.size() <= limits::kTextBytesMax && text.find('\0') == std::string_view::npos;
}

bool is_input_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kNameBytesMax && name.front() != '$';
}

}  // namespace taper::broker
