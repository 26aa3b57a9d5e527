#include "runtime/broker/tool_words.h"

#include <algorithm>
#include <array>

#include "runtime/base/limits.h"
#include "runtime/broker/upstream_words.h"

namespace taper::broker {
namespace {

using authority::Tool;
using authority::ToolKind;
using capsules::Effect;

struct InputWords {
  std::string_view name;
  std::string words;
};
struct BuiltinWords {
  std::string_view name, title, description;
  std::vector<InputWords> inputs;
};

std::string range(std::int64_t most, std::int64_t usual) {
  return "1 to " + std::to_string(most) + "; " + std::to_string(usual) + " when left out.";
}

const std::array<BuiltinWords, 6>& builtin_words() {
  constexpr std::string_view kEncoding =
      "text: the content is as given; base64: it is decoded first. text when left out.";
  static const std::array<BuiltinWords, 6> kWords = {{
      {"file.read",
       "Read a file",
       "Reads a file, or the part of it from offset on. Gives text, or base64 where the bytes are "
       "not UTF-8; size is the whole file's, and eof says whether its end was reached.",
       {{"path", "The file."},
        {"offset", "The first byte to read; 0 when left out."},
        {"max_bytes",
         "At most so many bytes, " + range(limits::kReadBytesMax, limits::kReadBytesDefault)}}},
      {"file.list",
       "List a directory",
       "Lists the entries of one directory in the order of their names, with path, type and size "
       "each. truncated says that there were more.",
       {{"path", "The directory."},
        {"max_entries",
         "At most so many, " + range(limits::kListEntriesMax, limits::kListEntriesDefault)}}},
      {"file.stat",
       "Look at a file",
       "Tells type, size, mode and time of the last change of a file or directory.",
       {{"path", "The file or directory."}}},
      {"file.write",
       "Write a file",
       "Writes a whole file in one step: creates it, or replaces what it held.",
       {{"path", "The file; its directory must be there."},
        {"content", "All that the file holds afterwards."},
        {"encoding", std::string(kEncoding)}}},
      {"file.append",
       "Append to a file",
       "Adds to the end of a file, which is created where there is none.",
       {{"path", "The file; its directory must be there."},
        {"content", "What is added."},
        {"encoding", std::string(kEncoding)}}},
      {"time.now",
       "Tell the time",
       "Tells the time of the node's clock, as seconds since 1970 and as a text in UTC.",
       {}},
  }};
  return kWords;
}

const BuiltinWords* find_words(std::string_view builtin) {
  const auto& words = builtin_words();
  const auto found = std::ranges::find(words, builtin, &BuiltinWords::name);
  return found == words.end() ? nullptr : &*found;
}

const BuiltinWords* words_of(const Tool& tool) {
  return tool.kind == ToolKind::builtin ? find_words(tool.name) : nullptr;
}

}  // namespace

std::string_view verb_name(capsules::Verb verb) {
  constexpr std::array<std::string_view, 9> kVerbs = {
      "unset", "discover", "call", "poll", "result", "update", "cancel", "retry", "resume"};
  return kVerbs.at(static_cast<std::size_t>(verb));
}

std::string_view kind_word(ToolKind kind) {
  constexpr std::array<std::string_view, 5> kKinds = {"unset", "builtin", "command", "mcp",
                                                      "agent"};
  return kKinds.at(static_cast<std::size_t>(kind));
}

std::string tool_title(const Tool& tool) {
  const BuiltinWords* words = words_of(tool);
  if (tool.kind == ToolKind::upstream)
    return cut_text(tool.title, limits::kToolDescriptionBytesMax);
  return words == nullptr ? tool.title : std::string(words->title);
}

std::string tool_description(const Tool& tool) {
  const BuiltinWords* words = words_of(tool);
  if (tool.kind == ToolKind::upstream)
    return cut_text(tool.description, limits::kToolSchemaBytesMax);
  return words == nullptr ? tool.description : std::string(words->description);
}

std::string input_words(std::string_view builtin, std::string_view input) {
  const BuiltinWords* words = find_words(builtin);
  if (words == nullptr) return {};
  const auto found = std::ranges::find(words->inputs, input, &InputWords::name);
  return found == words->inputs.end() ? std::string() : found->words;
}

// A tool that writes may destroy what stood there, for all that its effect says. In a cell it
// reaches no network, whatever it is.
capsules::Value annotations(const Tool& tool, Repeats repeats) {
  if (tool.kind == ToolKind::upstream) {
    if (std::optional<capsules::Value> pinned = pinned_annotations(tool)) {
      // A client that asks nobody about what only reads goes by this word, so it must be the
      // node's.
      for (auto& [name, hint] : *pinned->object())
        if (name == "readOnlyHint" && tool.effect != Effect::read) hint = false;
      return *pinned;
    }
  }
  const bool reads = tool.effect == Effect::read;
  const bool appends = tool.kind == ToolKind::builtin && tool.name == "file.append";
  const bool replaces = tool.kind == ToolKind::builtin && tool.name == "file.write";
  return capsules::Object{{"readOnlyHint", reads},
                          {"destructiveHint", !reads && !appends},
                          {"idempotentHint", reads || replaces || repeats == Repeats::harmless},
                          {"openWorldHint", false}};
}

}  // namespace taper::broker
