#include "runtime/authority/command.h"

#include <algorithm>

namespace taper::authority {
namespace {

using capsules::Object;
using capsules::Value;

const Value* find(const Object& arguments, const std::string& name) {
  const auto found = std::find_if(arguments.begin(), arguments.end(),
                                  [&name](const auto& member) { return member.first == name; });
  return found == arguments.end() ? nullptr : &found->second;
}

Error bad_input(std::string field, std::string expected, std::string got) {
  return Error(Code::tool_input, {std::move(field), std::move(expected), std::move(got), ""});
}

class Renderer {
 public:
  explicit Renderer(const Object& arguments) : arguments_(arguments) {}

  Status add(const std::vector<ArgvWord>& words) {
    for (const ArgvWord& word : words) {
      if (is_dropped(word)) continue;
      if (!word.group.empty()) {
        TAPER_CHECK(add(word.group));
      } else if (word.argument.empty()) {
        options_over_ = options_over_ || word.literal == "--";
        TAPER_CHECK(push(word.literal, word.literal));
      } else {
        TAPER_CHECK(add_argument(word));
      }
    }
    return success();
  }

  std::vector<std::string> take() { return std::move(argv_); }

 private:
  // A group stands or falls with the arguments named in it.
  bool is_dropped(const ArgvWord& word) const {
    if (!word.argument.empty()) return find(arguments_, word.argument) == nullptr;
    return std::any_of(word.group.begin(), word.group.end(),
                       [this](const ArgvWord& inner) { return is_dropped(inner); });
  }

  Status add_argument(const ArgvWord& word) {
    const std::string text = word_text(*find(arguments_, word.argument));
    if (text.starts_with('-') && !options_over_ && !word.option_value)
      return Error(Code::option_like, {word.argument, "no leading '-'", text, ""});
    return push(word.argument, text);
  }

  Status push(const std::string& name, const std::string& text) {
    bytes_ += text.size() + 1;
    if (text.find('\0') != std::string::npos) return bad_input(name, "no NUL", "one with NUL");
    if (argv_.size() >= limits::kArgvWordsMax)
      return bad_input(name, "at most " + std::to_string(limits::kArgvWordsMax) + " words", "more");
    if (bytes_ > limits::kArgvBytesMax)
      return bad_input(name, "at most " + std::to_string(limits::kArgvBytesMax) + " bytes", "more");
    argv_.push_back(text);
    return success();
  }

  const Object& arguments_;
  std::vector<std::string> argv_;
  std::size_t bytes_ = 0;
  bool options_over_ = false;
};

}  // namespace

std::string word_text(const Value& value) {
  return value.text() != nullptr ? *value.text() : capsules::write_canonical(value);
}

Result<std::vector<std::string>> render_argv(const Tool& tool, const Object& arguments) {
  Renderer renderer(arguments);
  TAPER_CHECK(renderer.add(tool.argv));
  return renderer.take();
}

std::vector<InputValue> builtin_inputs(const Object& arguments) {
  std::vector<InputValue> inputs;
  inputs.reserve(arguments.size());
  for (const auto& [name, value] : arguments) {
    if (value.integer() != nullptr) {
      inputs.push_back({name, *value.integer()});
    } else if (value.boolean() != nullptr) {
      inputs.push_back({name, *value.boolean()});
    } else {
      inputs.push_back({name, word_text(value)});
    }
  }
  return inputs;
}

std::vector<InputValue> upstream_inputs(const Tool& tool, const Object& arguments,
                                        std::int64_t timeout_ms, const std::string& meta) {
  std::vector<InputValue> inputs = {{"ask", "call"},
                                    {"name", tool.remote},
                                    {"arguments", capsules::write_canonical(arguments)},
                                    {"pinned", tool.pinned},
                                    {"era", tool.era},
                                    {"timeout_ms", timeout_ms}};
  if (!meta.empty()) inputs.push_back({"meta", meta});
  return inputs;
}

}  // namespace taper::authority
