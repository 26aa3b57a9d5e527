#include <algorithm>
#include <array>

#include "runtime/base/limits.h"
#include "runtime/broker/tool_keys.h"

namespace taper::broker {
namespace {

constexpr std::array<std::string_view, 6> kEras = {"2026-07-28", "2025-11-25", "2025-06-18",
                                                   "2025-03-26", "2024-11-05", "auto"};

Result<std::vector<std::string>> parse_argv(const toml::table& file) {
  const toml::array* array = file["argv"].as_array();
  if (array == nullptr || array->empty() || array->size() > limits::kArgvWordsMax)
    return wrong_key("argv", "a list of 1 to " + std::to_string(limits::kArgvWordsMax) + " words");
  std::vector<std::string> words;
  for (const toml::node& node : *array) {
    const toml::value<std::string>* word = node.as_string();
    if (word == nullptr || word->get().empty() || !is_plain_text(word->get()))
      return wrong_key("argv[" + std::to_string(words.size()) + "]",
                       "a word without NUL that is not empty");
    words.push_back(word->get());
  }
  if (words.front().front() != '/') return wrong_key("argv[0]", "the program's absolute path");
  return words;
}

Result<std::string> parse_era(const toml::table& file) {
  TAPER_TRY(std::string era, text_in(file, "era"));
  if (std::ranges::find(kEras, era) != kEras.end()) return era;
  return wrong_key("era", "2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05 or auto",
                   era);
}

Result<std::vector<std::string>> parse_files(const toml::table& file) {
  TAPER_TRY(std::vector<std::string> files, words_in(file, "files", limits::kUpstreamFilesMax));
  for (const std::string& path : files) {
    if (!capsules::is_plain_path(path) || path == "/")
      return wrong_key("files", "absolute paths below / without '.', '..' and a '/' at the end",
                       path);
  }
  return files;
}

Result<UpstreamWords> parse_words(std::string_view name, const toml::node& node) {
  const std::string where = "tools." + std::string(name);
  const toml::table* table = node.as_table();
  if (table == nullptr) return wrong_key(where, "a table");
  TAPER_CHECK(only_keys(*table, where + ".", {"effect", "paths"}));
  UpstreamWords words;
  if (table->contains("effect")) {
    TAPER_TRY(words.effect, effect_in(*table, where + "."));
  }
  TAPER_TRY(words.paths, words_in(*table, "paths", limits::kToolInputsMax, where + "."));
  return words;
}

Status parse_tools(const toml::table& file, UpstreamServer& server) {
  if (!file.contains("tools")) return success();
  const toml::table* tools = file["tools"].as_table();
  if (tools == nullptr || tools->size() > limits::kUpstreamToolsMax)
    return wrong_key("tools", "a table of at most " + std::to_string(limits::kUpstreamToolsMax));
  for (const auto& [key, node] : *tools) {
    TAPER_TRY(UpstreamWords words, parse_words(key.str(), node));
    server.tools.emplace(key.str(), std::move(words));
  }
  return success();
}

}  // namespace

Result<UpstreamServer> parse_upstream(std::string_view name, const toml::table& file) {
  if (!is_server_name(name))
    return wrong_key("", "a file name without '.' before .toml, for kind mcp", name);
  TAPER_CHECK(
      only_keys(file, "", {"kind", "argv", "env", "era", "files", "effect", "secrets", "tools"}));
  UpstreamServer server;
  server.name = name;
  TAPER_TRY(server.argv, parse_argv(file));
  TAPER_TRY(server.era, parse_era(file));
  TAPER_TRY(server.files, parse_files(file));
  TAPER_TRY(server.effect, effect_in(file));
  TAPER_TRY(server.env, env_in(file));
  TAPER_TRY(server.secrets, secrets_in(file));
  TAPER_CHECK(parse_tools(file, server));
  return server;
}

// What it does it does by calls, which are decided each by itself.
Result<authority::Tool> parse_agent(std::string_view name, const toml::table& file) {
  TAPER_CHECK(only_keys(file, "", {"kind", "argv", "files"}));
  authority::Tool tool;
  tool.name = name;
  tool.kind = authority::ToolKind::agent;
  tool.effect = capsules::Effect::read;
  TAPER_TRY(const std::vector<std::string> argv, parse_argv(file));
  for (const std::string& word : argv) tool.argv.emplace_back().literal = word;
  TAPER_TRY(const std::vector<std::string> files, parse_files(file));
  for (const std::string& path : files) tool.files.push_back({.path = path, .program = true});
  return tool;
}

}  // namespace taper::broker
