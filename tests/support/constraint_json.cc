#include "tests/support/constraint_json.h"

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"

namespace taper::testing {
namespace {

using namespace capsules;

const Value& member(const Value& table, std::string_view name) {
  const Value* found = table.find(name);
  TAPER_ASSERT(found != nullptr);
  return *found;
}

std::string text(const Value& value) {
  TAPER_ASSERT(value.text() != nullptr);
  return *value.text();
}

std::int64_t number(const Value& value) {
  TAPER_ASSERT(value.integer() != nullptr);
  return *value.integer();
}

std::vector<std::string> texts(const Value& list) {
  std::vector<std::string> out;
  for (const Value& item : *list.array()) out.push_back(text(item));
  return out;
}

std::vector<Constraint> nested(const Value& value) {
  if (value.text() == nullptr) return constraints_of(value);
  TAPER_ASSERT(*value.text() == "any");
  return {AnyValue{}};
}

std::vector<Constraint> list(const Value& value) {
  std::vector<Constraint> out;
  for (const Value& item : *value.array()) {
    std::vector<Constraint> all = nested(item);
    out.push_back(all.size() == 1 ? all.front() : AllOf{all});
  }
  return out;
}

Url url(const Value& table) {
  Url out{texts(member(table, "schemes")), texts(member(table, "hosts")), {}, "/"};
  if (const Value* ports = table.find("ports")) {
    for (const Value& port : *ports->array()) {
      out.ports.push_back(static_cast<std::uint16_t>(number(port)));
    }
  }
  if (const Value* under = table.find("under")) out.under = text(*under);
  return out;
}

std::int32_t seconds(std::string_view clock) {  // "06:00"
  TAPER_ASSERT(clock.size() == 5);
  const auto two = [&clock](std::size_t at) {
    return (clock[at] - '0') * 10 + clock[at + 1] - '0';
  };
  return (two(0) * 60 + two(3)) * 60;
}

TimeOfDay time_of_day(const Value& table) {
  const std::string offset = text(member(table, "offset"));
  const std::int32_t east = seconds(std::string_view(offset).substr(1));
  return {seconds(text(member(table, "from"))), seconds(text(member(table, "to"))),
          offset.front() == '-' ? -east : east};
}

Constraint structure_of(const std::string& name, const Value& operand) {
  if (name == "argv") return Argv{list(operand)};
  if (name == "each") return Each{nested(operand)};
  if (name == "fields") return Fields{rules_of(operand)};
  if (name == "all_of") return AllOf{list(operand)};
  if (name == "any_of") return AnyOf{list(operand)};
  TAPER_ASSERT(name == "time_of_day");
  return time_of_day(operand);
}

Constraint constraint_of(const std::string& name, const Value& operand) {
  const auto bound = [&operand](std::size_t i) { return number(operand.array()->at(i)); };
  if (name == "any") return AnyValue{};
  if (name == "equals") return Equals{operand};
  if (name == "one_of") return OneOf{*operand.array()};
  if (name == "not_one_of") return NotOneOf{*operand.array()};
  if (name == "at_least") return AtLeast{number(operand)};
  if (name == "at_most") return AtMost{number(operand)};
  if (name == "length") return Length{bound(0), bound(1)};
  if (name == "count") return Count{bound(0), bound(1)};
  if (name == "prefix") return Prefix{text(operand)};
  if (name == "suffix") return Suffix{text(operand)};
  if (name == "glob") return Glob{text(operand)};
  if (name == "under") return Under{text(operand)};
  if (name == "url") return url(operand);
  if (name == "cidr") return Cidr{texts(operand)};
  return structure_of(name, operand);
}

}  // namespace

Value json_value(const std::string& text) {
  auto value = parse_value(as_bytes(text), limits::kArgumentBytesMax);
  TAPER_ASSERT(value.ok());
  return std::move(value).value();
}

std::pair<std::string, bool> optional_name(std::string name) {
  const bool optional = name.ends_with('?');
  if (optional) name.pop_back();
  return {name, optional};
}

std::vector<Constraint> constraints_of(const Value& table) {
  std::vector<Constraint> out;
  for (const auto& [name, operand] : *table.object()) out.push_back(constraint_of(name, operand));
  return out;
}

std::vector<ArgRule> rules_of(const Value& grant) {
  std::vector<ArgRule> out;
  for (const auto& [key, rule] : *grant.object()) {
    const auto [name, optional] = optional_name(key);
    out.push_back({name, optional, nested(rule)});
  }
  return out;
}

}  // namespace taper::testing
