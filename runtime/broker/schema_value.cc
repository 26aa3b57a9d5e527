#include "runtime/broker/schema_value.h"

#include <algorithm>
#include <optional>
#include <set>

#include "runtime/base/limits.h"
#include "runtime/broker/schema_shape.h"

namespace taper::broker {
namespace {

using namespace capsules;

// An `under` that holds of every value that passes: it asks for the plain form itself.
bool has_under(std::span<const Constraint> all) {
  return std::ranges::any_of(all, [](const Constraint& constraint) {
    const auto* all_of = std::get_if<AllOf>(&constraint);
    return std::holds_alternative<Under>(constraint) ||
           (all_of != nullptr && has_under(all_of->all));
  });
}

bool speaks_of_time(const Constraint& constraint) {
  const auto* all_of = std::get_if<AllOf>(&constraint);
  const auto* any_of = std::get_if<AnyOf>(&constraint);
  return std::holds_alternative<TimeOfDay>(constraint) ||
         (all_of != nullptr && std::ranges::any_of(all_of->all, speaks_of_time)) ||
         (any_of != nullptr && std::ranges::any_of(any_of->any, speaks_of_time));
}

std::optional<Array> listed_values(std::span<const Constraint> all);

// Empty where one alternative takes values without end, or has its own time.
std::optional<Array> values_of_any(const AnyOf& any_of) {
  Array out;
  for (const Constraint& one : any_of.any) {
    const auto values = speaks_of_time(one) ? std::nullopt : listed_values({&one, 1});
    if (!values) return std::nullopt;
    out.insert(out.end(), values->begin(), values->end());
  }
  return out;
}

// Values of which every one that passes is one. Empty: there is no end to them.
std::optional<Array> listed_values(std::span<const Constraint> all) {
  for (const Constraint& constraint : all) {
    std::optional<Array> values;
    if (const auto* equals = std::get_if<Equals>(&constraint)) values = Array{equals->value};
    if (const auto* one_of = std::get_if<OneOf>(&constraint)) values = one_of->values;
    if (const auto* all_of = std::get_if<AllOf>(&constraint)) values = listed_values(all_of->all);
    if (const auto* any_of = std::get_if<AnyOf>(&constraint)) values = values_of_any(*any_of);
    if (values) return values;
  }
  return std::nullopt;
}

// The listed values that pass, each once; empty where there is no list, or too much to ask.
std::optional<Array> passing_values(Types types, std::span<const Constraint> all, bool path) {
  std::optional<Array> values = listed_values(all);
  if (!values) return std::nullopt;
  std::size_t rules = 0;
  for (const Constraint& constraint : all) rules += describe_constraint(constraint).size();
  if (rules * write_canonical(*values).size() > limits::kSchemaStepsMax) return std::nullopt;
  std::set<std::string> seen;
  std::erase_if(*values, [&](const Value& value) {
    const std::string* text = path ? value.text() : nullptr;
    const bool plain =
        text == nullptr || (text->size() <= limits::kTextBytesMax && is_plain_path(*text));
    const bool passes = (types & type_of(value)) != 0 && plain &&
                        std::ranges::all_of(all, [&value](const Constraint& constraint) {
                          return holds(constraint, value, kAnyMoment);
                        });
    return !passes || !seen.insert(write_canonical(value)).second;
  });
  return values;
}

}  // namespace

Value value_schema(InputType type, std::span<const Constraint> all) {
  Shape shape(types_of(type));
  const bool path = type == InputType::path || speaks_of_path(all);
  if (std::optional<Array> values = passing_values(shape.types(), all, path)) {
    if (values->empty()) return false;
    shape.add_values(std::move(*values));
    shape.add_times(all);
    return shape.schema();
  }
  shape.add(all);
  if (path && (shape.types() & kStringType) != 0)
    shape.add(has_under(all) ? Shape::PlainPath::implied : Shape::PlainPath::asked);
  return shape.schema();
}

void add_words(Value& schema, std::string_view words) {
  Object& members = *schema.object();
  const auto said = std::ranges::find(members, "description", &Object::value_type::first);
  if (said == members.end()) {
    members.emplace_back("description", words);
  } else {
    said->second = std::string(words) + " " + *said->second.text();
  }
}

}  // namespace taper::broker
