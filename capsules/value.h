// Argument values, the one strict parser of argument bytes, and the canonical writer.
//
// Strict means: UTF-8, exactly one JSON value (RFC 8259) with nothing but white space around it, no
// duplicate keys, no lone surrogates, depth at most limits::kJsonDepthMax, at most
// limits::kJsonNodesMax values, a size cap given by the caller. Whole numbers without fraction or
// exponent that fit 64 signed bits are exact integers ("-0" is not one); every other number keeps
// its source text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace taper::capsules {

class Value;
using Array = std::vector<Value>;
using Object =
    std::vector<std::pair<std::string, Value>>;  // in the order of the source, keys unique

struct Number {  // any number that is not an exact integer
  std::string text;
  bool operator==(const Number&) const = default;
};

class Value {
 public:
  Value() = default;                                         // null
  Value(bool value) : v_(value) {}                           // NOLINT(google-explicit-constructor)
  Value(std::int64_t value) : v_(value) {}                   // NOLINT(google-explicit-constructor)
  Value(int value) : v_(std::int64_t{value}) {}              // NOLINT(google-explicit-constructor)
  Value(std::string value) : v_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Value(std::string_view value) : v_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Value(const char* value) : v_(std::string(value)) {}       // NOLINT(google-explicit-constructor)
  Value(Number value) : v_(std::move(value)) {}              // NOLINT(google-explicit-constructor)
  Value(Array value) : v_(std::move(value)) {}               // NOLINT(google-explicit-constructor)
  Value(Object value) : v_(std::move(value)) {}              // NOLINT(google-explicit-constructor)

  bool is_null() const { return v_.index() == 0; }
  const bool* boolean() const { return std::get_if<bool>(&v_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&v_); }
  const Number* number() const { return std::get_if<Number>(&v_); }
  const std::string* text() const { return std::get_if<std::string>(&v_); }
  const Array* array() const { return std::get_if<Array>(&v_); }
  const Object* object() const { return std::get_if<Object>(&v_); }
  Array* array() { return std::get_if<Array>(&v_); }
  Object* object() { return std::get_if<Object>(&v_); }

  // The member of an object; null pointer when it is none or has no such key.
  const Value* find(std::string_view key) const;
  // RFC 6901 JSON pointer; null pointer when malformed or nothing is there.
  const Value* at_pointer(std::string_view pointer) const;

  // Exact: types must match; objects compare regardless of key order.
  bool operator==(const Value& other) const;

 private:
  std::variant<std::monostate, bool, std::int64_t, Number, std::string, Array, Object> v_;
};

// Errors: arguments_malformed with the byte offset in `field` and the rule in `expected`.
Result<Value> parse_value(ByteSpan bytes, std::size_t max_bytes);
// As above, and the value must be an object.
Result<Object> parse_arguments(ByteSpan bytes);

// Keys in byte order, no spaces, the shortest escapes; equal values give equal bytes.
std::string write_canonical(const Value& value);
// Appends `text` as a JSON string with its quotes. `text` must be UTF-8 (asserted).
void append_json_string(std::string& out, std::string_view text);

}  // namespace taper::capsules
