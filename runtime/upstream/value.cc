#include "runtime/upstream/value.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/edge/mcp/json.h"

namespace taper::upstream {
namespace {

namespace bj = boost::json;
using Code = bj::error_code;
using Text = bj::string_view;

// Sees every token, keeps the name or number that it stands in, and nothing else.
struct Tokens {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();
  std::string token;

  bool add(Text part) {
    token.append(part.data(), part.size());
    return true;
  }
  bool on_key_part(Text part, std::size_t, Code&) { return add(part); }
  bool on_number_part(Text part, Code&) { return add(part); }
  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(std::size_t, Code&) { return true; }
  bool on_string_part(Text, std::size_t, Code&) { return true; }
  bool on_string(Text, std::size_t, Code&) { return true; }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }
};

struct Names : Tokens {
  std::vector<std::set<std::string, std::less<>>> open;
  bool twice = false;

  bool on_object_begin(Code&) {
    open.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Code&) {
    open.pop_back();
    return true;
  }
  bool on_key(Text part, std::size_t, Code&) {
    add(part);
    twice = !open.back().insert(std::exchange(token, {})).second;
    return !twice;
  }
  bool skip_number() {
    token.clear();
    return true;
  }
  bool on_int64(std::int64_t, Text, Code&) { return skip_number(); }
  bool on_uint64(std::uint64_t, Text, Code&) { return skip_number(); }
  bool on_double(double, Text, Code&) { return skip_number(); }
};

// Empty: beyond what a double holds. The parser's own doubles are not rounded correctly.
std::string canonical_number(std::string_view text) {
  constexpr double kExact = 9'007'199'254'740'992.0;  // 2^53
  const char* end = text.data() + text.size();
  std::uint64_t whole = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, whole);
  if (stop == end && error == std::errc()) return std::to_string(whole);
  std::int64_t below = 0;
  const auto [below_stop, below_error] = std::from_chars(text.data(), end, below);
  if (below_stop == end && below_error == std::errc()) return std::to_string(below);
  double number = 0;
  if (std::from_chars(text.data(), end, number).ec != std::errc() || !std::isfinite(number)) {
    return "";
  }
  if (std::trunc(number) == number && std::abs(number) <= kExact) {
    return std::to_string(static_cast<std::int64_t>(number));
  }
  std::array<char, 32> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr};
}

// Builds the one text of a value from the inside out.
struct Canonical : Tokens {
  struct Open {
    std::string name;  // of the member that comes next
    std::vector<std::pair<std::string, std::string>> members;
    std::string items = "[";
  };
  std::vector<Open> open;
  std::string done;

  bool put(std::string text) {
    if (open.empty()) {
      done = std::move(text);
      return true;
    }
    Open& outer = open.back();
    if (!outer.name.empty()) {
      outer.members.emplace_back(std::exchange(outer.name, {}), std::move(text));
    } else {
      outer.items += outer.items.size() > 1 ? "," + text : text;
    }
    return true;
  }
  bool on_object_begin(Code&) { return begin(); }
  bool on_array_begin(Code&) { return begin(); }
  bool begin() {
    open.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Code&) {
    Open object = std::move(open.back());
    open.pop_back();
    std::ranges::sort(object.members);
    std::string text = "{";
    for (const auto& [name, value] : object.members) {
      if (text.size() > 1) text += ',';
      text += name + ":" + value;
    }
    return put(text + "}");
  }
  bool on_array_end(std::size_t, Code&) {
    std::string items = std::move(open.back().items);
    open.pop_back();
    return put(items + "]");
  }
  std::string take_quoted(Text part) {
    add(part);
    return mcp::Json::string(std::exchange(token, {})).text();
  }
  bool on_key(Text part, std::size_t, Code&) {
    open.back().name = take_quoted(part);
    return true;
  }
  bool on_string_part(Text part, std::size_t, Code&) { return add(part); }
  bool on_string(Text part, std::size_t, Code&) { return put(take_quoted(part)); }
  bool put_number(Text part) {
    add(part);
    std::string text = canonical_number(std::exchange(token, {}));
    return !text.empty() && put(std::move(text));
  }
  bool on_int64(std::int64_t, Text part, Code&) { return put_number(part); }
  bool on_uint64(std::uint64_t, Text part, Code&) { return put_number(part); }
  bool on_double(double, Text part, Code&) { return put_number(part); }
  bool on_bool(bool value, Code&) { return put(value ? "true" : "false"); }
  bool on_null(Code&) { return put("null"); }
};

template <class Handler>
bool parse(bj::basic_parser<Handler>& parser, std::string_view text) {
  Code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  return !error && used == text.size() && parser.done();
}

bj::parse_options options() {
  bj::parse_options options;
  options.max_depth = limits::kUpstreamJsonDepthMax;
  return options;
}

}  // namespace

bool is_strict_json(std::string_view text) {
  if (text.empty() || !is_utf8(text)) return false;
  bj::basic_parser<Names> parser(options());
  return parse(parser, text) && !parser.handler().twice;
}

std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0, most = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '{' || c == '[') most = std::max(most, ++depth);
    if ((c == '}' || c == ']') && depth > 0) --depth;
  }
  return most;
}

std::optional<std::string> canonical(std::string_view value) {
  bj::basic_parser<Canonical> parser(options());
  if (!parse(parser, value)) return std::nullopt;
  return std::move(parser.handler().done);
}

}  // namespace taper::upstream
