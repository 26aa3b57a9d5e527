#include <array>
#include <limits>

#include "capsule_generated.h"
#include "capsules/address.h"
#include "capsules/constraints.h"
#include "capsules/decode.h"
#include "capsules/url.h"

namespace taper::capsules {
namespace {

using W = wire::Constraint;
using Kind = wire::ConstraintKind;

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr Field kKind{W::VT_KIND, "kind"};
constexpr Field kJson{W::VT_JSON, "json"};
constexpr Field kJsons{W::VT_JSONS, "jsons"};
constexpr Field kNumber{W::VT_NUMBER, "number"};
constexpr Field kUpper{W::VT_UPPER, "upper"};
constexpr Field kText{W::VT_TEXT, "text"};
constexpr Field kTexts{W::VT_TEXTS, "texts"};
constexpr Field kSchemes{W::VT_SCHEMES, "schemes"};
constexpr Field kHosts{W::VT_HOSTS, "hosts"};
constexpr Field kPorts{W::VT_PORTS, "ports"};
constexpr Field kOffset{W::VT_OFFSET_S, "offset_s"};
constexpr Field kChildren{W::VT_CHILDREN, "children"};
constexpr Field kRules{W::VT_RULES, "rules"};
constexpr std::array kOperands = {kJson,    kJsons, kNumber, kUpper,  kText,     kTexts,
                                  kSchemes, kHosts, kPorts,  kOffset, kChildren, kRules};

Constraint decode_constraint(const WireTable& table, std::size_t depth);
std::vector<ArgRule> decode_rules_at(const WireTable& owner, Field field, std::size_t depth);

// A field that the kind does not use would be a restriction that nobody enforces.
void only(const WireTable& table, std::initializer_list<Field> used) {
  for (const Field& operand : kOperands) {
    const bool expected = std::any_of(used.begin(), used.end(), [&operand](const Field& field) {
      return field.offset == operand.offset;
    });
    if (!expected && table.has(operand)) {
      table.invalid(operand, "absent for this kind of constraint", "present");
    }
  }
}

// Numbers that are not exact equal nothing, so none may be written.
bool is_exact(const Value& value) {
  if (const Array* array = value.array()) return std::ranges::all_of(*array, is_exact);
  if (const Object* object = value.object()) {
    return std::ranges::all_of(*object, [](const auto& member) { return is_exact(member.second); });
  }
  return value.number() == nullptr;
}

Value canonical(const WireTable& table, Field field, const std::string& json) {
  Result<Value> value = parse_value(as_bytes(json), limits::kTextBytesMax);
  if (value && write_canonical(*value) == json && is_exact(*value)) return std::move(value).value();
  table.invalid(field, "one exact JSON value in canonical form", json);
  return {};
}

std::string text_operand(const WireTable& table) {
  only(table, {kText});
  return table.text(kText, limits::kTextBytesMax);
}

std::int64_t number_operand(const WireTable& table) {
  only(table, {kNumber});
  return table.number(kNumber, kLeast, kMost);
}

std::vector<Value> values_operand(const WireTable& table) {
  only(table, {kJsons});
  std::vector<Value> out;
  for (const std::string& json :
       table.texts(kJsons, limits::kListItemsMax, limits::kTextBytesMax)) {
    out.push_back(canonical(table, kJsons, json));
  }
  table.require(kJsons, !out.empty());
  return out;
}

NotOneOf decode_not_one_of(const WireTable& table) {
  NotOneOf out{values_operand(table)};
  for (const Value& value : out.values) {
    if (value.is_null() || value.array() != nullptr || value.object() != nullptr) {
      table.invalid(kJsons, "texts, whole numbers, true or false", write_canonical(value));
    }
  }
  return out;
}

template <class Range>  // Length, Count
Range decode_range(const WireTable& table) {
  only(table, {kNumber, kUpper});
  Range out;
  out.least = table.number(kNumber, 0, kMost);
  out.most = table.number(kUpper, out.least, kMost);
  return out;
}

Under decode_under(const WireTable& table) {
  Under out{text_operand(table)};
  if (!is_plain_path(out.tree)) table.invalid(kText, "an absolute path in plain form", out.tree);
  return out;
}

// A list that must not be empty, each of them once and as `is_good` asks.
template <class Test>
std::vector<std::string> words_operand(const WireTable& table, Field field, std::string expected,
                                       const Test& is_good) {
  std::vector<std::string> out = table.names(field, limits::kListItemsMax);
  table.require(field, !out.empty());
  for (const std::string& word : out) {
    if (!is_good(word)) table.invalid(field, expected, word);
  }
  return out;
}

Url decode_url(const WireTable& table) {
  only(table, {kSchemes, kHosts, kPorts, kText});
  Url out;
  out.schemes = words_operand(table, kSchemes, "a scheme in lower case", is_url_scheme);
  out.hosts = words_operand(table, kHosts, "a host name or address in its one form", is_url_host);
  out.ports = table.ports(kPorts, limits::kListItemsMax);
  out.under = table.text(kText, limits::kTextBytesMax);
  if (!is_plain_path(out.under) || !is_url_path(out.under)) {
    table.invalid(kText, "an absolute path in plain form", out.under);
  }
  return out;
}

Cidr decode_cidr(const WireTable& table) {
  only(table, {kTexts});
  return {words_operand(table, kTexts, "address/bits in its one form, all other bits 0",
                        [](const std::string& text) { return parse_block(text).has_value(); })};
}

TimeOfDay decode_time_of_day(const WireTable& table) {
  only(table, {kNumber, kUpper, kOffset});
  TimeOfDay out;
  out.from_s = static_cast<std::int32_t>(table.number(kNumber, 0, limits::kDayS - 1));
  out.to_s = static_cast<std::int32_t>(table.number(kUpper, 0, limits::kDayS - 1));
  out.offset_s = table.offset(kOffset, limits::kUtcOffsetMaxS);
  if (out.from_s == out.to_s) table.invalid(kUpper, "another time than number", "the same");
  return out;
}

std::vector<Constraint> children(const WireTable& table, std::size_t most, std::size_t depth) {
  only(table, {kChildren});
  std::vector<Constraint> out;
  table.each(kChildren, most, W::VT_RULES, [&out, depth](const WireTable& item) {
    out.push_back(decode_constraint(item, depth + 1));
  });
  table.require(kChildren, !out.empty());
  return out;
}

Fields decode_fields(const WireTable& table, std::size_t depth) {
  only(table, {kRules});
  Fields out{decode_rules_at(table, kRules, depth + 1)};
  table.require(kRules, !out.rules.empty());
  return out;
}

Constraint decode_constraint(const WireTable& table, std::size_t depth) {
  if (depth > limits::kConstraintDepthMax) {
    table.invalid(kKind, "at most " + std::to_string(limits::kConstraintDepthMax) + " levels",
                  "more");
    return OneOf{};
  }
  switch (table.choice(kKind, Kind::MAX)) {
    case Kind::none: break;  // refused by `choice`
    case Kind::any: only(table, {}); return AnyValue{};
    case Kind::equals:
      only(table, {kJson});
      return Equals{canonical(table, kJson, table.text(kJson, limits::kTextBytesMax))};
    case Kind::one_of: return OneOf{values_operand(table)};
    case Kind::not_one_of: return decode_not_one_of(table);
    case Kind::at_least: return AtLeast{number_operand(table)};
    case Kind::at_most: return AtMost{number_operand(table)};
    case Kind::length: return decode_range<Length>(table);
    case Kind::prefix: return Prefix{text_operand(table)};
    case Kind::suffix: return Suffix{text_operand(table)};
    case Kind::glob: return Glob{text_operand(table)};
    case Kind::under: return decode_under(table);
    case Kind::url: return decode_url(table);
    case Kind::cidr: return decode_cidr(table);
    case Kind::argv: return Argv{children(table, limits::kArgvWordsMax, depth)};
    case Kind::each: return Each{children(table, limits::kConstraintsPerArgMax, depth)};
    case Kind::count: return decode_range<Count>(table);
    case Kind::fields: return decode_fields(table, depth);
    case Kind::all_of: return AllOf{children(table, limits::kConstraintsPerArgMax, depth)};
    case Kind::any_of: return AnyOf{children(table, limits::kAlternativesMax, depth)};
    case Kind::time_of_day: return decode_time_of_day(table);
  }
  return OneOf{};  // holds for nothing
}

ArgRule decode_rule(const WireTable& table, std::size_t depth) {
  using R = wire::ArgRule;
  constexpr Field kConstraints{R::VT_CONSTRAINTS, "constraints"};
  ArgRule out;
  out.name = table.text({R::VT_NAME, "name"}, limits::kNameBytesMax);
  out.optional = table.flag({R::VT_OPTIONAL, "optional"});
  table.each(
      kConstraints, limits::kConstraintsPerArgMax, W::VT_RULES,
      [&out, depth](const WireTable& item) { out.all.push_back(decode_constraint(item, depth)); });
  table.require(kConstraints, !out.all.empty());
  return out;
}

std::vector<ArgRule> decode_rules_at(const WireTable& owner, Field field, std::size_t depth) {
  std::vector<ArgRule> out;
  owner.each(field, limits::kArgsPerGrantMax, wire::ArgRule::VT_CONSTRAINTS,
             [&](const WireTable& item) {
               ArgRule rule = decode_rule(item, depth);
               for (const ArgRule& other : out) {
                 if (other.name == rule.name) owner.invalid(field, "each name once", rule.name);
               }
               out.push_back(std::move(rule));
             });
  return out;
}

}  // namespace

std::vector<ArgRule> decode_rules(const WireTable& owner, Field field) {
  return decode_rules_at(owner, field, 1);
}

}  // namespace taper::capsules
