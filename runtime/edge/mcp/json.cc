#include "runtime/edge/mcp/json.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::mcp {
namespace {

namespace bj = boost::json;

// Looks at every token and keeps nothing.
struct Ignore {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();
  using Code = bj::error_code;
  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return true; }
  bool on_object_end(std::size_t, Code&) { return true; }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(std::size_t, Code&) { return true; }
  bool on_key_part(bj::string_view, std::size_t, Code&) { return true; }
  bool on_key(bj::string_view, std::size_t, Code&) { return true; }
  bool on_string_part(bj::string_view, std::size_t, Code&) { return true; }
  bool on_string(bj::string_view, std::size_t, Code&) { return true; }
  bool on_number_part(bj::string_view, Code&) { return true; }
  bool on_int64(std::int64_t, bj::string_view, Code&) { return true; }
  bool on_uint64(std::uint64_t, bj::string_view, Code&) { return true; }
  bool on_double(double, bj::string_view, Code&) { return true; }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(bj::string_view, Code&) { return true; }
  bool on_comment(bj::string_view, Code&) { return true; }
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The functions below walk text that is known to be valid, so they only look for ends.
std::size_t skip_blanks(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

std::size_t skip_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

std::size_t skip_value(std::string_view text, std::size_t at) {
  if (text[at] == '"') return skip_string(text, at);
  if (text[at] != '{' && text[at] != '[') {
    while (at < text.size() && !is_blank(text[at]) && text[at] != ',' && text[at] != ']' &&
           text[at] != '}') {
      ++at;
    }
    return at;
  }
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) break;
  }
  return at;
}

std::string quoted(std::string_view text) {
  const std::string safe = is_utf8(text) ? std::string() : escape_text(text);
  const std::string_view from = is_utf8(text) ? text : std::string_view(safe);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  out.reserve(from.size() + 2);
  for (const char c : from) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xfU];
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

}  // namespace

bool is_valid_json(std::string_view text) {
  if (text.empty() || !is_utf8(text)) return false;
  bj::parse_options options;
  options.max_depth = limits::kMcpJsonDepthMax;
  bj::basic_parser<Ignore> parser(options);
  bj::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  return !error && used == text.size() && parser.done();
}

std::string_view trim(std::string_view value) {
  while (!value.empty() && is_blank(value.front())) value.remove_prefix(1);
  while (!value.empty() && is_blank(value.back())) value.remove_suffix(1);
  return value;
}

std::optional<Json> Json::parse(std::string_view text) {
  if (!is_valid_json(text)) return std::nullopt;
  std::string line(trim(text));
  // Inside strings a line break cannot stand unescaped.
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return Json(std::move(line));
}

Json Json::string(std::string_view text) { return Json(quoted(text)); }

Kind kind_of(std::string_view value) {
  switch (value.empty() ? 'n' : value.front()) {
    case '{': return Kind::object;
    case '[': return Kind::array;
    case '"': return Kind::string;
    case 't':
    case 'f': return Kind::boolean;
    case 'n': return Kind::null;
    default: return Kind::number;
  }
}

std::optional<std::string> read_string(std::string_view value) {
  if (kind_of(value) != Kind::string) return std::nullopt;
  if (value.find('\\') == value.npos) return std::string(value.substr(1, value.size() - 2));
  bj::error_code error;
  const bj::value parsed = bj::parse(bj::string_view(value.data(), value.size()), error);
  if (error || !parsed.is_string()) return std::nullopt;
  return std::string(parsed.get_string().data(), parsed.get_string().size());
}

std::optional<std::int64_t> read_integer(std::string_view value) {
  std::int64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (kind_of(value) != Kind::number || error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<double> read_number(std::string_view value) {
  double number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (kind_of(value) != Kind::number || error != std::errc() || stop != end) return std::nullopt;
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::optional<bool> read_bool(std::string_view value) {
  if (kind_of(value) != Kind::boolean) return std::nullopt;
  return value.front() == 't';
}

std::vector<std::string_view> read_array(std::string_view value) {
  std::vector<std::string_view> items;
  if (kind_of(value) != Kind::array) return items;
  std::size_t at = skip_blanks(value, 1);
  while (at < value.size() && value[at] != ']') {
    const std::size_t end = skip_value(value, at);
    items.push_back(value.substr(at, end - at));
    at = skip_blanks(value, end);
    if (at < value.size() && value[at] == ',') at = skip_blanks(value, at + 1);
  }
  return items;
}

std::optional<Object> Object::read(std::string_view value) {
  if (kind_of(value) != Kind::object) return std::nullopt;
  Object object;
  std::set<std::string_view> names;
  std::size_t at = skip_blanks(value, 1);
  object.members_.reserve(8);
  while (at < value.size() && value[at] != '}') {
    if (object.members_.size() == limits::kMcpMembersMax) return std::nullopt;
    const std::size_t name_end = skip_string(value, at);
    const std::string_view name_source = value.substr(at, name_end - at);
    const std::size_t from = skip_blanks(value, skip_blanks(value, name_end) + 1);
    const std::size_t end = skip_value(value, from);
    std::optional<std::string> name = read_string(name_source);
    if (!name) return std::nullopt;
    object.members_.push_back({std::move(*name), name_source, value.substr(from, end - from)});
    at = skip_blanks(value, end);
    if (at < value.size() && value[at] == ',') at = skip_blanks(value, at + 1);
  }
  for (const Member& member : object.members_) {
    if (!names.insert(member.name).second) return std::nullopt;
  }
  return object;
}

std::optional<std::string_view> Object::find(std::string_view name) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const Member& member) { return member.name == name; });
  if (found == members_.end()) return std::nullopt;
  return found->value;
}

std::optional<std::string> Object::string(std::string_view name) const {
  const std::optional<std::string_view> value = find(name);
  return value ? read_string(*value) : std::nullopt;
}

std::string& ObjectWriter::start(std::string_view name) {
  if (out_.size() > 1) out_ += ',';
  out_ += '"';
  out_ += name;
  out_ += "\":";
  return out_;
}

ObjectWriter& ObjectWriter::text(std::string_view name, std::string_view value) {
  start(name) += quoted(value);
  return *this;
}

ObjectWriter& ObjectWriter::text_if(std::string_view name, std::string_view value) {
  return value.empty() ? *this : text(name, value);
}

ObjectWriter& ObjectWriter::number(std::string_view name, std::int64_t value) {
  start(name) += std::to_string(value);
  return *this;
}

ObjectWriter& ObjectWriter::number(std::string_view name, double value) {
  TAPER_ASSERT(std::isfinite(value));
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  start(name).append(digits.data(), end);
  return *this;
}

ObjectWriter& ObjectWriter::flag(std::string_view name, bool value) {
  start(name) += value ? "true" : "false";
  return *this;
}

ObjectWriter& ObjectWriter::json(std::string_view name, const Json& value) {
  return value.absent() ? *this : raw(name, value.text());
}

ObjectWriter& ObjectWriter::raw(std::string_view name, std::string_view value) {
  start(name) += value;
  return *this;
}

ObjectWriter& ObjectWriter::member(const Member& member) {
  if (out_.size() > 1) out_ += ',';
  out_ += member.name_source;
  out_ += ':';
  out_ += member.value;
  return *this;
}

ObjectWriter& ObjectWriter::strings(std::string_view name, const std::vector<std::string>& values) {
  ArrayWriter list;
  for (const std::string& value : values) list.raw(quoted(value));
  return json(name, std::move(list).end());
}

Json ObjectWriter::end() && {
  out_ += '}';
  return Json(std::move(out_));
}

ArrayWriter& ArrayWriter::raw(std::string_view value) {
  if (out_.size() > 1) out_ += ',';
  out_ += value;
  return *this;
}

Json ArrayWriter::end() && {
  out_ += ']';
  return Json(std::move(out_));
}

}  // namespace taper::mcp
