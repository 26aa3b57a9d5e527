// How each MCP client is told to start this program: the entry of its configuration, where that
// file lies, and the file with the entry put in. Formats checked against each client's own manual.
// docs/MCP.md, "Connect a client"
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace taper::tools {

struct Client {
  enum class Format : std::uint8_t { json, toml };
  enum class Place : std::uint8_t { project, home };  // of its file: the working directory, or home
  enum class Shape : std::uint8_t {
    typed,    // {"type":"stdio","command":…,"args":[…]}
    untyped,  // the same without a type
    array,    // {"type":"local","command":[…]}: the program and its arguments in one
  };
  std::string_view name;
  Format format;
  Place place;
  std::string_view file;
  std::string_view servers;  // the object or table that holds the entries
  Shape shape;
  std::string_view hint;  // what to do next
};
std::span<const Client> clients();
const Client* find_client(std::string_view name);  // null pointer: none of that name

struct Entry {
  std::string name;  // letters, digits, '-' and '_'
  std::string command;
  std::vector<std::string> args;
};
// That no client takes a part of it for something else. Error: usage, with the part.
Status check_entry(const Entry& entry);

// A whole configuration with nothing but the entry.
std::string snippet(const Client& client, const Entry& entry);

// `text` with the entry in it; empty when it is there already. Every other byte stays as it is, and
// so do other settings of an entry of that name. Error: usage, when the text cannot be parsed, or
// says otherwise in a place that cannot be changed without touching more.
Result<std::optional<std::string>> merged(const Client& client, const Entry& entry,
                                          std::string_view text);

}  // namespace taper::tools
