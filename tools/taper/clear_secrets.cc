#include "tools/taper/clear_secrets.h"

#include "capsules/author/author.h"

namespace taper::tools {
namespace {

// Words of a command, options and their values in a row.
// Groups are nested as deep as the parser allows.
// NOLINTNEXTLINE(misc-no-recursion)
void add_words(const std::vector<authority::ArgvWord>& argv, std::vector<std::string>& words) {
  for (const authority::ArgvWord& word : argv) {
    if (word.group.empty()) words.push_back(word.literal);
    add_words(word.group, words);
  }
}

}  // namespace

std::vector<ClearSecret> clear_secrets(const authority::Tools& tools) {
  std::vector<ClearSecret> found;
  for (const auto& [name, tool] : tools) {
    std::vector<std::string> words;
    add_words(tool.argv, words);
    words.insert(words.end(), tool.env.begin(), tool.env.end());
    std::string kind = capsules::secret_in_words(words);
    if (!kind.empty()) found.push_back({name, std::move(kind)});
  }
  return found;
}

}  // namespace taper::tools
