// JSON as the codec needs it: whether a text is one valid value, where the members of an object
// stand in its source, and texts for output. Values that are passed on keep their source bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace taper::mcp {

// One JSON value (RFC 8259) as text, valid and on one line; or absent. Immutable.
class Json {
 public:
  Json() = default;
  // Strict: UTF-8, nesting up to limits::kMcpJsonDepthMax, nothing before or after but white space,
  // which is cut off; line breaks between tokens become blanks. Empty when it is not such a value.
  static std::optional<Json> parse(std::string_view text);
  // A JSON string. What is not UTF-8 is escaped as escape_text() does.
  static Json string(std::string_view text);

  bool absent() const { return text_.empty(); }
  bool is_object() const { return text_.starts_with('{'); }
  bool is_array() const { return text_.starts_with('['); }
  const std::string& text() const { return text_; }

 private:
  friend class ObjectWriter;
  friend class ArrayWriter;
  explicit Json(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// Whether `text` is one valid value as above. The functions below read only what passed this.
bool is_valid_json(std::string_view text);

// The value without white space around it.
std::string_view trim(std::string_view value);

enum class Kind : std::uint8_t { object, array, string, number, boolean, null };
Kind kind_of(std::string_view value);

std::optional<std::string> read_string(std::string_view value);  // empty: not a string
std::optional<std::int64_t> read_integer(std::string_view value);
std::optional<double> read_number(std::string_view value);  // empty: none, or beyond a double
std::optional<bool> read_bool(std::string_view value);
std::vector<std::string_view> read_array(std::string_view value);  // empty: not an array

struct Member {
  std::string name;              // decoded
  std::string_view name_source;  // with its quotation marks
  std::string_view value;        // exact source bytes
};

// The members of one object; views into the text that was read, which must outlive it.
class Object {
 public:
  Object() = default;  // no members
  // Empty when it is no object, a name stands twice, or it has more than limits::kMcpMembersMax.
  static std::optional<Object> read(std::string_view value);

  std::optional<std::string_view> find(std::string_view name) const;
  // The string of that name; empty when it is missing or no string.
  std::optional<std::string> string(std::string_view name) const;
  const std::vector<Member>& members() const { return members_; }

 private:
  std::vector<Member> members_;
};

// Writes one object. Names are ours and need no escaping.
class ObjectWriter {
 public:
  ObjectWriter& text(std::string_view name, std::string_view value);
  ObjectWriter& text_if(std::string_view name, std::string_view value);  // not when empty
  ObjectWriter& number(std::string_view name, std::int64_t value);
  ObjectWriter& number(std::string_view name, double value);  // finite
  ObjectWriter& flag(std::string_view name, bool value);
  ObjectWriter& json(std::string_view name, const Json& value);  // not when absent
  // `value` is valid JSON on one line.
  ObjectWriter& raw(std::string_view name, std::string_view value);
  ObjectWriter& member(const Member& member);  // as it stands in its source
  ObjectWriter& strings(std::string_view name, const std::vector<std::string>& values);

  bool empty() const { return out_.size() == 1; }
  Json end() &&;

 private:
  std::string& start(std::string_view name);
  std::string out_ = "{";
};

// "[a,b]" of values that are valid JSON on one line.
class ArrayWriter {
 public:
  ArrayWriter& raw(std::string_view value);
  Json end() &&;

 private:
  std::string out_ = "[";
};

}  // namespace taper::mcp
