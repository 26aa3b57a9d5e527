// What a schema says of one value, gathered from constraints that must hold together.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/authority/tool.h"

namespace taper::broker {

using Types = unsigned;  // of JSON values, a bit each
inline constexpr Types kStringType = 1U << 4U;
Types type_of(const capsules::Value& value);
Types types_of(capsules::InputType type);

// Says `false`.
bool is_never(const capsules::Value& schema);

// Of objects and arrays within each other; 0 for neither.
std::size_t depth_of(const capsules::Value& value);

class Shape {
 public:
  explicit Shape(Types types) : types_(types) {}

  void add(std::span<const capsules::Constraint> all);
  // Where a value is a text, it is a plain path; `implied` where another rule asks for it already.
  enum class PlainPath : std::uint8_t { asked, implied };
  void add(PlainPath path);
  // One of these. Not empty.
  void add_values(capsules::Array values);
  // Only what `all` says of the time of day, but not within any_of.
  void add_times(std::span<const capsules::Constraint> all);

  Types types() const { return types_; }
  capsules::Value schema() const;

 private:
  void keep(Types types) { types_ &= types; }
  void raise(const char* key, std::int64_t least);
  void lower(const char* key, std::int64_t most);
  void put(capsules::Object part) { parts_.push_back(std::move(part)); }
  void say(const std::string& words);
  void add_pattern(std::string pattern);
  void add_items(std::int64_t least, std::int64_t most);

  void add(const capsules::AnyValue&) {}
  void add(const capsules::Equals& c) { add_values({c.value}); }
  void add(const capsules::OneOf& c) { add_values(c.values); }
  void add(const capsules::NotOneOf& c);
  void add(const capsules::AtLeast& c);
  void add(const capsules::AtMost& c);
  void add(const capsules::Length& c);
  void add(const capsules::Prefix& c);
  void add(const capsules::Suffix& c);
  void add(const capsules::Glob& c);
  void add(const capsules::Under& c);
  void add(const capsules::Url& c);
  void add(const capsules::Cidr& c);
  void add(const capsules::Argv& c);
  void add(const capsules::Each& c);
  void add(const capsules::Count& c) { add_items(c.least, c.most); }
  void add(const capsules::Fields& c);
  void add(const capsules::AllOf& c) { add(std::span(c.all)); }
  void add(const capsules::AnyOf& c);
  void add(const capsules::TimeOfDay& c);

  Types types_;
  std::map<std::string, std::int64_t> bounds_;
  capsules::Array excluded_;
  std::vector<capsules::Object> parts_;  // each holds by itself
  std::string words_;
};

}  // namespace taper::broker
