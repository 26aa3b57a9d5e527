#include "capsules/value.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

// Up to this many members a linear scan beats sorting, and needs no memory.
constexpr std::size_t kFewMembers = 32;

using Members = std::vector<const Object::value_type*>;

Members sorted_members(const Object& object) {
  Members members;
  members.reserve(object.size());
  for (const auto& member : object) members.push_back(&member);
  std::sort(members.begin(), members.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  return members;
}

const Value* find_member(const Object& object, std::string_view key) {
  for (const auto& [name, value] : object) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool same_members(const Object& a, const Object& b) {
  if (a.size() != b.size()) return false;
  if (a.size() <= kFewMembers) {
    return std::all_of(a.begin(), a.end(), [&b](const auto& member) {
      const Value* other = find_member(b, member.first);
      return other != nullptr && member.second == *other;
    });
  }
  const Members left = sorted_members(a);
  const Members right = sorted_members(b);
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (*left[i] != *right[i]) return false;
  }
  return true;
}

bool has_repeated_key(const Object& object) {
  if (object.size() > kFewMembers) {
    const Members members = sorted_members(object);
    return std::adjacent_find(members.begin(), members.end(), [](const auto* a, const auto* b) {
             return a->first == b->first;
           }) != members.end();
  }
  for (std::size_t i = 1; i < object.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (object[i].first == object[k].first) return true;
    }
  }
  return false;
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0U | (point >> 6U));
  } else {
    if (point < 0x10000) {
      put(0xE0U | (point >> 12U));
    } else {
      put(0xF0U | (point >> 18U));
      put(0x80U | ((point >> 12U) & 0x3FU));
    }
    put(0x80U | ((point >> 6U) & 0x3FU));
  }
  put(0x80U | (point & 0x3FU));
}

// The text was checked to be UTF-8 before, so bytes from 0x80 upward need no further look.
// Every method returns false after it set the rule that was broken.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  bool document(Value& out) {
    skip_space();
    if (!value(out, 0)) return false;
    skip_space();
    return at_ == text_.size() || broken("the end after one JSON value");
  }
  Error error() const {
    return Error(Code::arguments_malformed,
                 {"byte " + std::to_string(at_), rule_,
                  at_ < text_.size() ? std::string(1, text_[at_]) : "the end", ""});
  }

 private:
  bool broken(const char* rule) {
    rule_ = rule;
    return false;
  }
  // NUL at the end: no rule below expects one.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool eat(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool is_digit() const { return peek() >= '0' && peek() <= '9'; }

  bool value(Value& out, std::size_t depth) {
    if (++nodes_ > limits::kJsonNodesMax) return broken("fewer values");
    switch (peek()) {
      case '{': return object(out, depth + 1);
      case '[': return array(out, depth + 1);
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out = Value(std::move(text));
        return true;
      }
      case 't': return word("true", Value(true), out);
      case 'f': return word("false", Value(false), out);
      case 'n': return word("null", Value(), out);
      default: return number(out);
    }
  }

  bool word(std::string_view text, Value meaning, Value& out) {
    if (text_.substr(at_, text.size()) != text) return broken("a JSON value");
    at_ += text.size();
    out = std::move(meaning);
    return true;
  }

  bool array(Value& out, std::size_t depth) {
    if (depth > limits::kJsonDepthMax) return broken("less nesting");
    ++at_;
    Array items;
    skip_space();
    if (!eat(']')) {
      do {
        skip_space();
        if (!value(items.emplace_back(), depth)) return false;
        skip_space();
      } while (eat(','));
      if (!eat(']')) return broken("',' or ']'");
    }
    out = Value(std::move(items));
    return true;
  }

  bool object(Value& out, std::size_t depth) {
    if (depth > limits::kJsonDepthMax) return broken("less nesting");
    ++at_;
    Object members;
    skip_space();
    if (!eat('}')) {
      do {
        if (!member(members, depth)) return false;
      } while (eat(','));
      if (!eat('}')) return broken("',' or '}'");
    }
    if (has_repeated_key(members)) return broken("every key once in an object");
    out = Value(std::move(members));
    return true;
  }

  bool member(Object& members, std::size_t depth) {
    skip_space();
    if (peek() != '"') return broken("a key in double quotes");
    auto& [key, held] = members.emplace_back();
    if (!string(key)) return false;
    skip_space();
    if (!eat(':')) return broken("':'");
    skip_space();
    if (!value(held, depth)) return false;
    skip_space();
    return true;
  }

  bool string(std::string& out) {
    ++at_;
    for (;;) {
      const std::size_t start = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<std::uint8_t>(text_[at_]) >= 0x20) {
        ++at_;
      }
      out.append(text_, start, at_ - start);
      if (eat('"')) return true;
      if (!eat('\\')) {
        return broken(at_ < text_.size() ? "control characters escaped" : "the closing '\"'");
      }
      if (!escape(out)) return false;
    }
  }

  bool escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (eat('u')) return unicode_escape(out);
    const std::size_t which = at_ < text_.size() ? kLetters.find(text_[at_]) : kLetters.npos;
    if (which == kLetters.npos) return broken("a JSON escape");
    ++at_;
    out += kMeanings[which];
    return true;
  }

  bool unicode_escape(std::string& out) {
    std::uint32_t point = 0;
    if (!hex4(point)) return false;
    if (point >= 0xDC00 && point <= 0xDFFF) return broken("no lone surrogate");
    if (point >= 0xD800 && point <= 0xDBFF) {
      std::uint32_t low = 0;
      if (!eat('\\') || !eat('u')) return broken("no lone surrogate");
      if (!hex4(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return broken("no lone surrogate");
      point = 0x10000 + ((point - 0xD800) << 10U) + (low - 0xDC00);
    }
    append_utf8(out, point);
    return true;
  }

  bool hex4(std::uint32_t& point) {
    const std::string_view digits = text_.substr(at_, 4);
    const char* end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, point, 16);
    if (digits.size() != 4 || parsed.ec != std::errc{} || parsed.ptr != end) {
      return broken("four hexadecimal digits");
    }
    at_ += 4;
    return true;
  }

  bool digits() {
    if (!is_digit()) return broken("a JSON value");
    while (is_digit()) ++at_;
    return true;
  }

  bool number(Value& out) {
    const std::size_t start = at_;
    bool whole = true;
    eat('-');
    if (peek() == '0') {
      ++at_;
      if (is_digit()) return broken("no leading zero");
    } else if (!digits()) {
      return false;
    }
    if (eat('.')) {
      whole = false;
      if (!digits()) return false;
    }
    if (eat('e') || eat('E')) {
      whole = false;
      if (!eat('+')) eat('-');
      if (!digits()) return false;
    }
    const std::string_view text = text_.substr(start, at_ - start);
    std::int64_t exact = 0;
    // "-0" is the one whole number that 64 signed bits cannot tell from another spelling.
    if (whole && text != "-0" &&
        std::from_chars(text.data(), text.data() + text.size(), exact).ec == std::errc{}) {
      out = Value(exact);
    } else {
      out = Value(Number{std::string(text)});
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t nodes_ = 0;
  const char* rule_ = "";
};

// One token of a JSON pointer without its slash; false when an escape is malformed.
bool unescape_token(std::string_view token, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      out += token[i];
      continue;
    }
    if (++i == token.size() || (token[i] != '0' && token[i] != '1')) return false;
    out += token[i] == '0' ? '~' : '/';
  }
  return true;
}

const Value* array_item(const Array& array, std::string_view token) {
  std::size_t index = 0;
  const char* end = token.data() + token.size();
  const bool leading_zero = token.size() > 1 && token.front() == '0';
  const auto parsed = std::from_chars(token.data(), end, index);
  if (parsed.ec != std::errc{} || parsed.ptr != end || leading_zero) return nullptr;
  return index < array.size() ? &array[index] : nullptr;
}

template <class Item, class Write>
void append_list(std::string& out, const std::vector<Item>& items, const Write& write) {
  bool first = true;
  for (const Item& item : items) {
    if (!first) out += ',';
    first = false;
    write(item);
  }
}

void append_canonical(std::string& out, const Value& value) {
  if (const bool* boolean = value.boolean()) {
    out += *boolean ? "true" : "false";
  } else if (const std::int64_t* integer = value.integer()) {
    out += std::to_string(*integer);
  } else if (const Number* number = value.number()) {
    out += number->text;
  } else if (const std::string* text = value.text()) {
    append_json_string(out, *text);
  } else if (const Array* array = value.array()) {
    out += '[';
    append_list(out, *array, [&out](const Value& item) { append_canonical(out, item); });
    out += ']';
  } else if (const Object* object = value.object()) {
    out += '{';
    append_list(out, sorted_members(*object), [&out](const Object::value_type* member) {
      append_json_string(out, member->first);
      out += ':';
      append_canonical(out, member->second);
    });
    out += '}';
  } else {
    out += "null";
  }
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  const Object* members = object();
  return members == nullptr ? nullptr : find_member(*members, key);
}

const Value* Value::at_pointer(std::string_view pointer) const {
  const Value* here = this;
  std::string token;
  while (!pointer.empty() && here != nullptr) {
    if (pointer.front() != '/') return nullptr;
    const std::size_t end = std::min(pointer.find('/', 1), pointer.size());
    if (!unescape_token(pointer.substr(1, end - 1), token)) return nullptr;
    pointer.remove_prefix(end);
    const Array* items = here->array();
    here = items != nullptr ? array_item(*items, token) : here->find(token);
  }
  return here;
}

bool Value::operator==(const Value& other) const {
  const Object* members = object();
  const Object* others = other.object();
  if (members != nullptr && others != nullptr) return same_members(*members, *others);
  return v_ == other.v_;
}

Result<Value> parse_value(ByteSpan bytes, std::size_t max_bytes) {
  if (bytes.size() > max_bytes) {
    return Error(Code::arguments_malformed, {"size", "at most " + std::to_string(max_bytes),
                                             std::to_string(bytes.size()) + " bytes", ""});
  }
  if (!is_utf8(as_text(bytes))) {
    return Error(Code::arguments_malformed, {"byte 0", "UTF-8 throughout", "", ""});
  }
  Parser parser(as_text(bytes));
  Value value;
  if (!parser.document(value)) return parser.error();
  return value;
}

Result<Object> parse_arguments(ByteSpan bytes) {
  TAPER_TRY(Value value, parse_value(bytes, limits::kArgumentBytesMax));
  if (Object* members = value.object()) return std::move(*members);
  return Error(Code::arguments_malformed, {"byte 0", "a JSON object", "another value", ""});
}

std::string write_canonical(const Value& value) {
  std::string out;
  append_canonical(out, value);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  TAPER_ASSERT(is_utf8(text));
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::string_view kSpecial = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetters = "\"\\bfnrt";
  const auto plain = [](char c) {
    return static_cast<std::uint8_t>(c) >= 0x20 && c != '"' && c != '\\';
  };
  out += '"';
  for (auto at = text.begin(); at != text.end();) {
    const auto stop = std::find_if_not(at, text.end(), plain);
    out.append(at, stop);
    if (stop == text.end()) break;
    const std::size_t which = kSpecial.find(*stop);
    if (which != kSpecial.npos) {
      out += '\\';
      out += kLetters[which];
    } else {
      out += "\\u00";
      out += kHex[static_cast<std::uint8_t>(*stop) >> 4U];
      out += kHex[static_cast<std::uint8_t>(*stop) & 0x0FU];
    }
    at = stop + 1;
  }
  out += '"';
}

}  // namespace taper::capsules
