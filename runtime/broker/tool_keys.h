// Reading the keys of a file of tools.d. Errors: tool_file_malformed with the key in `field`.
#pragma once

#include <toml++/toml.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/broker/tool_files.h"

namespace taper::broker {

// Bounded, UTF-8, not too deep.
Result<toml::table> read_toml(std::string_view toml);

Error wrong_key(std::string_view field, std::string_view expected, std::string_view got = "");

// `where` stands before the key that is not known: "input.path.".
Status only_keys(const toml::table& table, std::string_view where,
                 std::initializer_list<std::string_view> known);
// `where` as above; the key must be there.
Result<std::string> text_in(const toml::table& table, std::string_view key,
                            std::string_view where = "");
Result<capsules::Effect> effect_in(const toml::table& table, std::string_view where = "");
// Empty when the key is absent.
Result<std::vector<std::string>> secrets_in(const toml::table& file);
// The table `env` as NAME=value, by name. None when it is absent. A name that tells the loader what
// to load into a program is refused: its bytes are what was pinned.
Result<std::vector<std::string>> env_in(const toml::table& file);
// A list of at most `most` texts, each once, without NUL and not empty. None when it is absent.
Result<std::vector<std::string>> words_in(const toml::table& table, std::string_view key,
                                          std::size_t most, std::string_view where = "");

// Without NUL, and no longer than a text may be.
bool is_plain_text(std::string_view text);
// May name an argument: not empty, not too long, without '$' in front.
bool is_input_name(std::string_view name);

// `files` as they are named: whether each is a directory is not known yet.
Result<authority::Tool> parse_agent(std::string_view name, const toml::table& file);
Result<UpstreamServer> parse_upstream(std::string_view name, const toml::table& file);

}  // namespace taper::broker
