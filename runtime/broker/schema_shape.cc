#include "runtime/broker/schema_shape.h"

#include <algorithm>
#include <array>
#include <limits>

#include "runtime/base/limits.h"
#include "runtime/broker/schema_pattern.h"
#include "runtime/broker/schema_value.h"
#include "runtime/broker/schema_words.h"

namespace taper::broker {
namespace {

using namespace capsules;

// In the order of the bits.
constexpr std::array<std::string_view, 7> kTypeNames = {"null",   "boolean", "integer", "number",
                                                        "string", "array",   "object"};
constexpr Types kBoolean = 1U << 1U;
constexpr Types kInteger = 1U << 2U;
constexpr Types kArray = 1U << 5U;
constexpr Types kObject = 1U << 6U;
constexpr Types kEveryType = (1U << kTypeNames.size()) - 1;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

Value named_types(Types types) {
  Array names;
  for (std::size_t i = 0; i < kTypeNames.size(); ++i) {
    if ((types >> i & 1U) != 0) names.emplace_back(kTypeNames[i]);
  }
  return names.size() == 1 ? names.front() : Value(std::move(names));
}

// Many clients read numbers as doubles, which beyond this are told apart no more.
bool is_safe(const Value& value) {
  constexpr std::int64_t kSafe = (std::int64_t{1} << 53U) - 1;
  return value.integer() == nullptr || (*value.integer() >= -kSafe && *value.integer() <= kSafe);
}

bool is_empty(const Value& schema) {
  return schema.object() != nullptr && schema.object()->empty();
}

}  // namespace

Types type_of(const Value& value) {
  if (value.boolean() != nullptr) return kBoolean;
  if (value.integer() != nullptr) return kInteger;
  if (value.number() != nullptr) return 1U << 3U;
  if (value.text() != nullptr) return kStringType;
  if (value.array() != nullptr) return kArray;
  return value.object() != nullptr ? kObject : 1U;
}

Types types_of(InputType type) {
  switch (type) {
    case InputType::string:
    case InputType::path: return kStringType;
    case InputType::integer: return kInteger;
    case InputType::boolean: return kBoolean;
    case InputType::json: return kEveryType;
    case InputType::unset: break;
  }
  return 0;
}

std::size_t depth_of(const Value& value) {
  std::size_t inner = 0;
  if (const Array* items = value.array()) {
    for (const Value& item : *items) inner = std::max(inner, depth_of(item));
  } else if (const Object* members = value.object()) {
    for (const auto& [name, member] : *members) inner = std::max(inner, depth_of(member));
  } else {
    return 0;
  }
  return inner + 1;
}

bool is_never(const Value& schema) { return schema.boolean() != nullptr && !*schema.boolean(); }

void Shape::raise(const char* key, std::int64_t least) {
  const auto [at, fresh] = bounds_.try_emplace(key, least);
  at->second = std::max(at->second, least);
}

void Shape::lower(const char* key, std::int64_t most) {
  const auto [at, fresh] = bounds_.try_emplace(key, most);
  at->second = std::min(at->second, most);
}

void Shape::say(const std::string& words) { words_ += (words_.empty() ? "" : " ") + words; }

void Shape::add_pattern(std::string pattern) {
  keep(kStringType);
  put({{"pattern", std::move(pattern)}});
}

void Shape::add_items(std::int64_t least, std::int64_t most) {
  keep(kArray);
  if (least > 0) raise("minItems", least);
  if (most != kMost) lower("maxItems", most);
}

void Shape::add(std::span<const Constraint> all) {
  for (const Constraint& constraint : all) {
    std::visit([this](const auto& one) { add(one); },
               static_cast<const ConstraintKinds&>(constraint));
  }
}

void Shape::add(PlainPath path) {
  lower("maxLength", limits::kTextBytesMax);
  if (path == PlainPath::implied) return;
  put({{"pattern", under_pattern("/")}});
  say(words_of_plain_paths());
}

void Shape::add_values(Array values) {
  Types types = 0;
  for (const Value& value : values) types |= type_of(value);
  keep(types);
  const bool one = values.size() == 1;
  put({{one ? "const" : "enum", one ? values.front() : Value(std::move(values))}});
}

void Shape::add_times(std::span<const Constraint> all) {
  for (const Constraint& constraint : all) {
    if (const auto* time = std::get_if<TimeOfDay>(&constraint)) add(*time);
    if (const auto* all_of = std::get_if<AllOf>(&constraint)) add_times(all_of->all);
  }
}

void Shape::add(const AtLeast& c) {
  keep(kInteger);
  raise("minimum", c.least);
}

void Shape::add(const AtMost& c) {
  keep(kInteger);
  lower("maximum", c.most);
}

void Shape::add(const Prefix& c) { add_pattern(prefix_pattern(c.text)); }
void Shape::add(const Suffix& c) { add_pattern(suffix_pattern(c.text)); }

void Shape::add(const Glob& c) {
  keep(kStringType);
  if (auto pattern = glob_pattern(c.pattern)) add_pattern(std::move(*pattern));
  say(words_of(c));
}

void Shape::add(const Under& c) {
  add_pattern(under_pattern(c.tree));
  say(words_of(c));
}

void Shape::add(const Url& c) {
  keep(kStringType);
  put({{"format", "uri"}});
  say(words_of(c));
}

void Shape::add(const Each& c) {
  keep(kArray);
  Value items = value_schema(InputType::json, c.all);
  if (!is_empty(items)) put({{"items", std::move(items)}});
}

void Shape::add(const TimeOfDay& c) { say(words_of(c)); }

void Shape::add(const NotOneOf& c) {
  Types types = 0;
  Array unsafe;
  for (const Value& value : c.values) {
    types |= type_of(value);
    (is_safe(value) ? excluded_ : unsafe).push_back(value);
  }
  keep(types);
  if (!unsafe.empty()) say(words_of_others(unsafe));
}

// A schema counts characters, or what a client takes for them, of 1 to 4 bytes.
void Shape::add(const Length& c) {
  constexpr std::int64_t kBytesOfCharacter = 4;
  keep(kStringType);
  if (c.least > 0) raise("minLength", (c.least - 1) / kBytesOfCharacter + 1);
  if (c.most != kMost) lower("maxLength", c.most);
  if (c.least > 1 || c.most != kMost) say(words_of(c));
}

void Shape::add(const Cidr& c) {
  keep(kStringType);
  const auto v6 = static_cast<std::size_t>(std::ranges::count_if(
      c.blocks, [](const std::string& block) { return block.find(':') != block.npos; }));
  if (v6 == 0 || v6 == c.blocks.size()) put({{"format", v6 == 0 ? "ipv4" : "ipv6"}});
  say(words_of(c));
}

void Shape::add(const Argv& c) {
  Array words;
  for (const Constraint& word : c.words) {
    words.push_back(value_schema(InputType::string, {&word, 1}));
    if (is_never(words.back())) keep(0);
  }
  const auto count = static_cast<std::int64_t>(words.size());
  add_items(count, count);
  put({{"prefixItems", std::move(words)}, {"items", false}});
}

void Shape::add(const Fields& c) {
  keep(kObject);
  Object properties;
  Array required;
  for (const ArgRule& rule : c.rules) {
    Value member = value_schema(InputType::json, rule.all);
    if (!rule.optional) required.emplace_back(rule.name);
    if (!is_never(member)) {
      properties.emplace_back(rule.name, std::move(member));
    } else if (!rule.optional) {
      keep(0);
    }
  }
  Object part{{"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) part.emplace_back("required", std::move(required));
  put(std::move(part));
}

void Shape::add(const AnyOf& c) {
  Array branches;
  for (const Constraint& one : c.any) {
    Value branch = value_schema(InputType::json, {&one, 1});
    if (is_empty(branch)) return;
    if (!is_never(branch)) branches.push_back(std::move(branch));
  }
  if (branches.empty()) return keep(0);
  put({{"anyOf", std::move(branches)}});
}

Value Shape::schema() const {
  if (types_ == 0) return false;
  Object out;
  Array more;
  if (types_ != kEveryType) out.emplace_back("type", named_types(types_));
  for (const auto& [key, bound] : bounds_) out.emplace_back(key, bound);
  if (!excluded_.empty()) out.emplace_back("not", Object{{"enum", excluded_}});
  for (const Object& part : parts_) {
    const bool clash = std::ranges::any_of(part, [&out](const auto& member) {
      return std::ranges::find(out, member.first, &Object::value_type::first) != out.end();
    });
    if (clash) {
      more.emplace_back(part);
    } else {
      out.insert(out.end(), part.begin(), part.end());
    }
  }
  if (!more.empty()) out.emplace_back("allOf", std::move(more));
  if (!words_.empty()) out.emplace_back("description", words_);
  return out;
}

}  // namespace taper::broker
