#include "tools/taper/connect/json_edit.h"

#include "runtime/edge/mcp/json.h"

namespace taper::tools {
namespace {

using mcp::Object;

constexpr std::string_view kUnit = "  ";

// What stands for one member, with the objects around it that are still to be made.
struct Made {
  std::span<const std::string> path;
  std::string_view name;
  std::string_view value;
};

std::string quoted(std::string_view text) { return mcp::Json::string(text).text(); }

// On lines of its own when `line_break` says how a line ends and how far the first is indented.
std::string render(const Made& made, const std::string& line_break) {
  if (made.path.empty()) return quoted(made.name) + ": " + std::string(made.value);
  const Made inner{made.path.subspan(1), made.name, made.value};
  const std::string own = quoted(made.path.front()) + ": {";
  if (line_break.empty()) return own + render(inner, "") + "}";
  const std::string deeper = line_break + std::string(kUnit);
  return own + deeper + render(inner, deeper) + line_break + "}";
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The line feed and the blanks that begin the line of `at`.
std::string line_break_of(std::string_view text, std::size_t at) {
  const std::size_t feed = text.substr(0, at).rfind('\n');
  const std::size_t from = feed == text.npos ? 0 : feed + 1;
  std::size_t to = from;
  while (to < at && (text[to] == ' ' || text[to] == '\t')) ++to;
  const bool carriage = text.find("\r\n") != text.npos;
  return (carriage ? "\r\n" : "\n") + std::string(text.substr(from, to - from));
}

class Editor {
 public:
  explicit Editor(std::string_view text) : text_(text) {}

  std::optional<std::string> edit(std::string_view value, const Made& made) const {
    const std::optional<Object> object = Object::read(value);
    if (!object) return std::nullopt;
    const std::string_view name = made.path.empty() ? made.name : made.path.front();
    const std::optional<std::string_view> found = object->find(name);
    if (!found) return insert(value, *object, made);
    if (made.path.empty()) return replace(*found, std::string(made.value));
    return edit(*found, {made.path.subspan(1), made.name, made.value});
  }

 private:
  std::size_t offset(std::string_view part) const {
    return static_cast<std::size_t>(part.data() - text_.data());
  }
  std::string replace(std::string_view part, const std::string& with) const {
    const std::size_t at = offset(part);
    return std::string(text_.substr(0, at)) + with + std::string(text_.substr(at + part.size()));
  }
  // Behind the last member, as that one stands: on a line of its own or not.
  std::string insert(std::string_view value, const Object& object, const Made& made) const {
    if (object.members().empty()) {
      const std::string outer = line_break_of(text_, offset(value));
      const std::string inner = outer + std::string(kUnit);
      return replace(value, "{" + inner + render(made, inner) + outer + "}");
    }
    const mcp::Member& last = object.members().back();
    const std::size_t name_at = offset(last.name_source);
    std::size_t blanks_at = name_at;
    while (blanks_at > 0 && is_blank(text_[blanks_at - 1])) --blanks_at;
    const std::string_view blanks = text_.substr(blanks_at, name_at - blanks_at);
    const bool own_line = blanks.find('\n') != blanks.npos;
    const std::string line_break = own_line ? line_break_of(text_, name_at) : "";
    const std::size_t end = offset(last.value) + last.value.size();
    return std::string(text_.substr(0, end)) + "," + (own_line ? line_break : " ") +
           render(made, line_break) + std::string(text_.substr(end));
  }

  std::string_view text_;
};

}  // namespace

std::optional<std::string> with_member(std::string_view text, std::span<const std::string> path,
                                       std::string_view name, std::string_view value) {
  return Editor(text).edit(mcp::trim(text), {path, name, value});
}

}  // namespace taper::tools
