#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include "runtime/base/limits.h"
#include "runtime/base/toml_shape.h"
#include "runtime/broker/tool_keys.h"

namespace taper::broker {
namespace {

using authority::ArgvWord;
using authority::Tool;

Result<capsules::InputSpec> parse_input(std::string_view name, const toml::node& node) {
  const std::string where = "input." + std::string(name);
  const toml::table* table = node.as_table();
  if (table == nullptr) return wrong_key(where, "a table {type = …}");
  if (!is_input_name(name))
    return wrong_key(where, "a name that is not empty, not too long and does not begin with '$'");
  TAPER_CHECK(only_keys(*table, where + ".", {"type", "optional"}));
  TAPER_TRY(const std::string type, text_in(*table, "type"));
  capsules::InputSpec input;
  input.name = name;
  input.type = capsules::input_type_of(type);
  if (input.type == capsules::InputType::unset)
    return wrong_key(where + ".type", "string, path, integer, boolean or json", type);
  if (table->contains("optional")) {
    const toml::value<bool>* optional = (*table)["optional"].as_boolean();
    if (optional == nullptr) return wrong_key(where + ".optional", "true or false");
    input.optional = optional->get();
  }
  return input;
}

Result<ArgvWord> parse_argument(const toml::table& table, std::string_view where) {
  TAPER_CHECK(only_keys(table, std::string(where) + ".", {"arg", "option_value"}));
  TAPER_TRY(std::string argument, text_in(table, "arg"));
  if (argument.empty()) return wrong_key(where, "the name of an input");
  ArgvWord word;
  word.argument = std::move(argument);
  if (table.contains("option_value")) {
    const toml::value<bool>* option = table["option_value"].as_boolean();
    if (option == nullptr) return wrong_key(where, "option_value = true or false");
    word.option_value = option->get();
  }
  return word;
}

// The depth of groups bounds the recursion, here and below.
// NOLINTNEXTLINE(misc-no-recursion)
Result<std::vector<ArgvWord>> parse_words(const toml::array& array, std::string_view where,
                                          std::size_t depth) {
  if (depth > limits::kArgvGroupDepthMax) return wrong_key(where, "groups nested less deeply");
  if (array.empty() || array.size() > limits::kArgvWordsMax)
    return wrong_key(where, "1 to " + std::to_string(limits::kArgvWordsMax) + " words");
  std::vector<ArgvWord> words;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const std::string here = std::string(where) + "[" + std::to_string(i) + "]";
    const toml::node& node = array[i];
    ArgvWord word;
    if (const toml::value<std::string>* literal = node.as_string()) {
      if (literal->get().empty() || !is_plain_text(literal->get()))
        return wrong_key(here, "a word without NUL that is not empty");
      word.literal = literal->get();
    } else if (const toml::table* table = node.as_table()) {
      TAPER_TRY(word, parse_argument(*table, here));
    } else if (const toml::array* group = node.as_array()) {
      TAPER_TRY(word.group, parse_words(*group, here, depth + 1));
    } else {
      return wrong_key(here, "a string, {arg = …} or a group [ … ]");
    }
    words.push_back(std::move(word));
  }
  return words;
}

// NOLINTNEXTLINE(misc-no-recursion)
void used_arguments(const std::vector<ArgvWord>& words, std::set<std::string>& used) {
  for (const ArgvWord& word : words) {
    if (!word.argument.empty()) used.insert(word.argument);
    used_arguments(word.group, used);
  }
}

// Every word's argument is an input, and every input has a place among the words.
Status check_use(const Tool& tool) {
  std::set<std::string> used;
  used_arguments(tool.argv, used);
  for (const capsules::InputSpec& input : tool.inputs) {
    if (used.erase(input.name) == 0) return wrong_key("input." + input.name, "its use in argv");
  }
  if (!used.empty()) return wrong_key("argv", "arguments that [input] declares", *used.begin());
  return success();
}

// Words for whoever chooses a tool, on one line; empty when the key is absent.
Result<std::string> parse_line(const toml::table& file, std::string_view key, std::size_t most) {
  if (!file.contains(key)) return std::string();
  TAPER_TRY(std::string text, text_in(file, key));
  const bool plain = std::ranges::none_of(text, [](char c) {
    constexpr char kDelete = '\x7f';
    return (c >= 0 && c < ' ') || c == kDelete;
  });
  if (text.empty() || text.size() > most || !plain)
    return wrong_key(key, "1 to " + std::to_string(most) + " bytes without control characters");
  return text;
}

Status parse_header(const toml::table& file, Tool& tool) {
  TAPER_CHECK(only_keys(
      file, "",
      {"kind", "effect", "output", "argv", "env", "secrets", "input", "title", "description"}));
  tool.kind = authority::ToolKind::command;
  TAPER_TRY(tool.effect, effect_in(file));
  TAPER_TRY(const std::string output, text_in(file, "output"));
  if (output != "text" && output != "json") return wrong_key("output", "text or json", output);
  tool.json_output = output == "json";
  TAPER_TRY(tool.title, parse_line(file, "title", limits::kToolTitleBytesMax));
  TAPER_TRY(tool.description, parse_line(file, "description", limits::kToolDescriptionBytesMax));
  return success();
}

Result<Tool> parse_command(std::string_view name, const toml::table& file) {
  Tool tool;
  tool.name = name;
  TAPER_CHECK(parse_header(file, tool));
  const toml::array* argv = file["argv"].as_array();
  if (argv == nullptr) return wrong_key("argv", "a list of words");
  TAPER_TRY(tool.argv, parse_words(*argv, "argv", 1));
  if (tool.argv.front().literal.empty() || tool.argv.front().literal.front() != '/')
    return wrong_key("argv[0]", "the program's absolute path");
  if (file.contains("input")) {
    const toml::table* inputs = file["input"].as_table();
    if (inputs == nullptr || inputs->size() > limits::kToolInputsMax)
      return wrong_key("input", "a table of at most " + std::to_string(limits::kToolInputsMax));
    for (const auto& [key, node] : *inputs) {
      TAPER_TRY(capsules::InputSpec input, parse_input(key.str(), node));
      tool.inputs.push_back(std::move(input));
    }
  }
  TAPER_CHECK(check_use(tool));
  TAPER_TRY(tool.env, env_in(file));
  TAPER_TRY(tool.secrets, secrets_in(file));
  return tool;
}

Result<ToolFile> parse_file(std::string_view name, const toml::table& file) {
  TAPER_TRY(const std::string kind, text_in(file, "kind"));
  if (kind == "mcp") {
    TAPER_TRY(UpstreamServer server, parse_upstream(name, file));
    return ToolFile(std::move(server));
  }
  if (kind != "command" && kind != "agent") return wrong_key("kind", "command, mcp or agent", kind);
  TAPER_TRY(Tool tool, kind == "agent" ? parse_agent(name, file) : parse_command(name, file));
  return ToolFile(std::move(tool));
}

}  // namespace

Result<toml::table> read_toml(std::string_view toml) {
  if (toml.size() > limits::kToolFileBytesMax)
    return wrong_key("size", "at most " + std::to_string(limits::kToolFileBytesMax) + " bytes");
  if (!is_utf8(toml)) return wrong_key("", "UTF-8");
  if (const auto line = toml_too_deep(toml))
    return wrong_key("line " + std::to_string(*line), "shorter keys, flatter tables", "too deep");
  try {
    return toml::table(toml::parse(toml));
  } catch (const toml::parse_error& error) {
    return wrong_key("line " + std::to_string(error.source().begin.line), "valid TOML",
                     error.description());
  }
}

Result<ToolFile> parse_tool_file(std::string_view name, std::string_view toml) {
  TAPER_TRY(const toml::table file, read_toml(toml));
  return parse_file(name, file);
}

}  // namespace taper::broker
