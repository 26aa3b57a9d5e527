#include "runtime/upstream/value.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
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

// Keeps the names of the objects that are open, and nothing else.
struct Names {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();
  using Code = bj::error_code;
  using Text = bj::string_view;

  std::vector<std::set<std::string, std::less<>>> open;
  std::string name;
  bool twice = false;

  bool on_object_begin(Code&) {
    open.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Code&) {
    open.pop_back();
    return true;
  }
  bool on_key_part(Text part, std::size_t, Code&) {
    name.append(part.data(), part.size());
    return true;
  }
  bool on_key(Text part, std::size_t, Code&) {
    name.append(part.data(), part.size());
    twice = !open.back().insert(std::exchange(name, {})).second;
    return !twice;
  }
  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(std::size_t, Code&) { return true; }
  bool on_string_part(Text, std::size_t, Code&) { return true; }
  bool on_string(Text, std::size_t, Code&) { return true; }
  bool on_number_part(Text, Code&) { return true; }
  bool on_int64(std::int64_t, Text, Code&) { return true; }
  bool on_uint64(std::uint64_t, Text, Code&) { return true; }
  bool on_double(double, Text, Code&) { return true; }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }
};

std::string quoted(std::string_view text) { return mcp::Json::string(text).text(); }

std::string_view view(bj::string_view text) { return {text.data(), text.size()}; }

bool write_double(double number, std::string& out) {
  constexpr double kExact = 9'007'199'254'740'992.0;  // 2^53
  if (!std::isfinite(number)) return false;
  if (std::trunc(number) == number && std::abs(number) <= kExact) {
    out += std::to_string(static_cast<std::int64_t>(number));
    return true;
  }
  std::array<char, 32> digits{};
  out.append(digits.data(),
             std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
  return true;
}

bool write_value(const bj::value& value, std::string& out);

bool write_object(const bj::object& object, std::string& out) {
  std::vector<const bj::key_value_pair*> members;
  for (const bj::key_value_pair& member : object) members.push_back(&member);
  std::ranges::sort(members, {}, [](const auto* member) { return view(member->key()); });
  out += '{';
  for (const bj::key_value_pair* member : members) {
    if (out.back() != '{') out += ',';
    out += quoted(view(member->key())) + ":";
    if (!write_value(member->value(), out)) return false;
  }
  out += '}';
  return true;
}

bool write_array(const bj::array& array, std::string& out) {
  out += '[';
  for (const bj::value& item : array) {
    if (&item != array.data()) out += ',';
    if (!write_value(item, out)) return false;
  }
  out += ']';
  return true;
}

bool write_value(const bj::value& value, std::string& out) {
  switch (value.kind()) {
    case bj::kind::object: return write_object(value.get_object(), out);
    case bj::kind::array: return write_array(value.get_array(), out);
    case bj::kind::string: out += quoted(view(value.get_string())); return true;
    case bj::kind::int64: out += std::to_string(value.get_int64()); return true;
    case bj::kind::uint64: out += std::to_string(value.get_uint64()); return true;
    case bj::kind::double_: return write_double(value.get_double(), out);
    case bj::kind::bool_: out += value.get_bool() ? "true" : "false"; return true;
    case bj::kind::null: out += "null"; return true;
  }
  return false;
}

bj::parse_options depth_options() {
  bj::parse_options options;
  options.max_depth = limits::kUpstreamJsonDepthMax;
  return options;
}

}  // namespace

bool is_strict_json(std::string_view text) {
  if (text.empty() || !is_utf8(text)) return false;
  bj::basic_parser<Names> parser(depth_options());
  bj::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  return !error && !parser.handler().twice && used == text.size() && parser.done();
}

std::optional<std::string> canonical(std::string_view value) {
  bj::error_code error;
  const bj::value parsed =
      bj::parse(bj::string_view(value.data(), value.size()), error, {}, depth_options());
  std::string out;
  if (error || !write_value(parsed, out)) return std::nullopt;
  return out;
}

}  // namespace taper::upstream
