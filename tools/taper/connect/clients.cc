#include "tools/taper/connect/clients.h"

#include <toml++/toml.h>
#include <algorithm>
#include <array>

#include "capsules/value.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/base/toml_shape.h"
#include "runtime/edge/mcp/json.h"
#include "tools/taper/connect/json_edit.h"

namespace taper::tools {
namespace {

using Format = Client::Format;
using Place = Client::Place;
using Shape = Client::Shape;

constexpr std::array<Client, 7> kClients = {{
    {"claude", Format::json, Place::project, ".mcp.json", "mcpServers", Shape::typed,
     "start 'claude' in that directory and approve the server; 'claude mcp list' shows it"},
    {"vscode", Format::json, Place::project, ".vscode/mcp.json", "servers", Shape::typed,
     "open the folder in VS Code and start the server from that file"},
    {"cursor", Format::json, Place::project, ".cursor/mcp.json", "mcpServers", Shape::typed,
     "open the folder in Cursor; its settings list the server"},
    {"codex", Format::toml, Place::home, ".codex/config.toml", "mcp_servers", Shape::untyped,
     "'codex mcp list' shows it"},
    {"gemini", Format::json, Place::home, ".gemini/settings.json", "mcpServers", Shape::untyped,
     "'gemini mcp list' shows it"},
    {"opencode", Format::json, Place::project, "opencode.json", "mcp", Shape::array,
     "'opencode mcp list' in that directory shows it"},
    {"inspector", Format::json, Place::project, "mcp.json", "mcpServers", Shape::typed,
     "'npx @modelcontextprotocol/inspector --cli --config FILE --server NAME --method tools/list' "
     "uses it"},
}};

constexpr std::string_view kByHand = "paste the entry into it by hand; nothing was changed";

Error unfit(std::string expected, std::string got) {
  return Error(Code::usage, {.field = "the client's configuration",
                             .expected = std::move(expected),
                             .got = std::move(got),
                             .fix = std::string(kByHand)});
}

std::string quoted(std::string_view text) { return mcp::Json::string(text).text(); }

std::string array_of(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "[" : ", ") + quoted(word);
  return out.empty() ? "[]" : out + "]";
}

struct Setting {
  std::string_view name;
  std::string value;  // JSON on one line, which is TOML as well
};

std::vector<Setting> settings_of(const Client& client, const Entry& entry) {
  if (client.shape == Shape::array) {
    std::vector<std::string> words = {entry.command};
    words.insert(words.end(), entry.args.begin(), entry.args.end());
    return {{"type", quoted("local")}, {"command", array_of(words)}, {"enabled", "true"}};
  }
  std::vector<Setting> settings;
  if (client.shape == Shape::typed) settings.push_back({"type", quoted("stdio")});
  settings.push_back({"command", quoted(entry.command)});
  settings.push_back({"args", array_of(entry.args)});
  return settings;
}

// Where the entries stand. Opencode has two forms of the same; the newer one is kept where the file
// is of it.
std::vector<std::string> path_in(const Client& client, const capsules::Value& file) {
  std::vector<std::string> path = {std::string(client.servers)};
  const capsules::Value* servers = file.find(client.servers);
  const capsules::Value* inner = servers != nullptr ? servers->find("servers") : nullptr;
  const bool newer = client.shape == Shape::array && inner != nullptr &&
                     inner->object() != nullptr && inner->find("type") == nullptr;
  if (newer) path.emplace_back("servers");
  return path;
}

const capsules::Value* at(const capsules::Value& file, const std::vector<std::string>& path) {
  const capsules::Value* found = &file;
  for (const std::string& name : path) found = found != nullptr ? found->find(name) : nullptr;
  return found;
}

bool says(const capsules::Value* entry, const Setting& setting) {
  const capsules::Value* value = entry != nullptr ? entry->find(setting.name) : nullptr;
  const Result<capsules::Value> wanted =
      capsules::parse_value(as_bytes(setting.value), limits::kClientConfigBytesMax);
  TAPER_ASSERT(wanted.ok());
  return value != nullptr && *value == *wanted;
}

Result<std::optional<std::string>> merged_json(const Client& client, const Entry& entry,
                                               std::string_view text) {
  std::string out(mcp::trim(text).empty() ? "{}\n" : text);
  const Result<capsules::Value> file =
      capsules::parse_value(as_bytes(out), limits::kClientConfigBytesMax);
  if (!file.ok() || !mcp::is_valid_json(out))
    return unfit("JSON without comments, and no name twice", "something else");
  std::vector<std::string> path = path_in(client, *file);
  path.push_back(entry.name);
  bool changed = false;
  for (const Setting& setting : settings_of(client, entry)) {
    if (says(at(*file, path), setting)) continue;
    std::optional<std::string> next = with_member(out, path, setting.name, setting.value);
    if (!next)
      return unfit("an object under " + std::string(client.servers) + " and " + entry.name,
                   "something else");
    out = std::move(*next);
    changed = true;
  }
  if (!changed) return std::optional<std::string>();
  TAPER_ASSERT(mcp::is_valid_json(out));
  return std::optional(std::move(out));
}

std::string toml_table(const Client& client, const Entry& entry) {
  std::string table = "[" + std::string(client.servers) + "." + entry.name + "]\n";
  for (const Setting& setting : settings_of(client, entry))
    table += std::string(setting.name) + " = " + setting.value + "\n";
  return table;
}

Result<toml::table> parse_toml(std::string_view text) {
  if (toml_too_deep(text)) return unfit("TOML of ordinary depth", "keys nested more deeply");
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return unfit("TOML", "line " + std::to_string(error.source().begin.line) + ": " +
                             std::string(error.description()));
  }
}

bool same_words(const toml::node_view<const toml::node>& node, const Entry& entry) {
  const toml::array* args = node["args"].as_array();
  if (node["command"].value<std::string>() != entry.command || args == nullptr) return false;
  std::vector<std::string> words;
  for (const toml::node& word : *args) words.push_back(word.value<std::string>().value_or(""));
  return words == entry.args;
}

// A table is put behind everything else: then no other line changes its meaning.
Result<std::optional<std::string>> merged_toml(const Client& client, const Entry& entry,
                                               std::string_view text) {
  TAPER_TRY(const toml::table before, parse_toml(text));
  const auto found = before[client.servers][entry.name];
  if (found && same_words(found, entry)) return std::optional<std::string>();
  if (found) return unfit("no server " + entry.name + ", or this very one", "another of that name");
  std::string out(text);
  if (!out.empty() && !out.ends_with('\n')) out += '\n';
  out += (out.empty() ? "" : "\n") + toml_table(client, entry);
  TAPER_TRY(const toml::table after, parse_toml(out));
  const auto made = after[client.servers][entry.name];
  if (!same_words(made, entry))
    return unfit("[" + std::string(client.servers) + "] as tables", "another form");
  return std::optional(std::move(out));
}

bool is_plain(std::string_view text) {
  return is_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7f || c == '$' || c == '{' || c == '}';
         });
}

}  // namespace

std::span<const Client> clients() { return kClients; }

const Client* find_client(std::string_view name) {
  const auto* const found = std::find_if(kClients.begin(), kClients.end(),
                                         [&](const Client& one) { return one.name == name; });
  return found == kClients.end() ? nullptr : found;
}

Status check_entry(const Entry& entry) {
  const bool named = !entry.name.empty() && entry.name.size() <= limits::kSecretNameBytesMax &&
                     std::all_of(entry.name.begin(), entry.name.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '_';
                     });
  if (!named)
    return Error(Code::usage, {.field = "--name",
                               .expected = "letters, digits, '-' and '_', at most 64",
                               .got = entry.name,
                               .fix = ""});
  std::vector<std::string> words = entry.args;
  words.push_back(entry.command);
  for (const std::string& word : words) {
    // Clients put variables in place of such marks.
    if (!is_plain(word))
      return Error(Code::usage, {.field = "path",
                                 .expected = "UTF-8 without controls, '$', '{' and '}'",
                                 .got = word,
                                 .fix = "give it another name; clients would read it otherwise"});
  }
  return success();
}

std::string snippet(const Client& client, const Entry& entry) {
  if (client.format == Format::toml) return toml_table(client, entry);
  Result<std::optional<std::string>> made = merged_json(client, entry, "");
  TAPER_ASSERT(made.ok() && *made);
  return **made;
}

Result<std::optional<std::string>> merged(const Client& client, const Entry& entry,
                                          std::string_view text) {
  return client.format == Format::toml ? merged_toml(client, entry, text)
                                       : merged_json(client, entry, text);
}

}  // namespace taper::tools
