#include "runtime/broker/tool_schema.h"

#include <algorithm>
#include <optional>
#include <set>

#include "runtime/base/limits.h"
#include "runtime/broker/schema_shape.h"
#include "runtime/broker/schema_value.h"
#include "runtime/broker/tool_words.h"
#include "runtime/broker/upstream_words.h"

namespace taper::broker {
namespace {

using capsules::ArgRule;
using capsules::Array;
using capsules::Constraint;
using capsules::InputSpec;
using capsules::Object;
using capsules::Value;

std::size_t size_of(const Value& value) { return write_canonical(value).size(); }

// One argument in one way. No schema: it cannot be given.
struct Part {
  std::optional<Value> schema;
  bool required = false;
};

struct Property {
  const InputSpec* input = nullptr;
  Value open;                // where no rule says anything of it
  std::vector<Value> ways;   // no two the same
  std::size_t required = 0;  // by so many ways
};

using Words = std::vector<authority::ArgvWord>;

bool takes_only(const Words& words, const std::string& input) {
  return std::ranges::all_of(words, [&input](const authority::ArgvWord& word) {
    return takes_only(word.group, input) && (word.argument.empty() || word.argument == input);
  });
}

bool ends_options(const Words& words) {
  return std::ranges::any_of(words, [](const authority::ArgvWord& word) {
    return word.literal == "--" || ends_options(word.group);
  });
}

// Whenever it is given it is a word that the program may take for an option, and refused where it
// begins with '-'. Not where that hangs on what else is given.
bool may_be_option(const Words& words, const std::string& input) {
  for (const authority::ArgvWord& word : words) {
    const bool itself = word.argument == input && !word.option_value;
    const bool within = takes_only(word.group, input) && may_be_option(word.group, input);
    if (itself || within) return true;
    if (word.literal == "--" || ends_options(word.group)) return false;
  }
  return false;
}

enum class Detail : std::uint8_t { all, types };

bool says_nothing(const std::vector<Constraint>& all) {
  return std::ranges::all_of(
      all, [](const Constraint& one) { return std::holds_alternative<capsules::AnyValue>(one); });
}

Part part_of(const authority::Tool& tool, const GrantedArguments& way, const Property& property,
             Detail detail) {
  const InputSpec& input = *property.input;
  Part out{std::nullopt, !input.optional};
  std::vector<Constraint> all;
  bool granted = !way.levels.empty();
  for (const auto* level : way.levels) {
    bool named = false;
    for (const ArgRule& rule : *level) {
      if (rule.name != input.name) continue;
      named = !rule.all.empty();
      out.required = out.required || !rule.optional;
      if (detail == Detail::all) all.insert(all.end(), rule.all.begin(), rule.all.end());
    }
    granted = granted && named;
  }
  for (const capsules::Sum& sum : way.sums) {
    if (sum.argument != input.name) continue;
    out.required = true;
    all.emplace_back(capsules::AtLeast{0});
    all.emplace_back(capsules::AtMost{sum.most});
  }
  const bool option = may_be_option(tool.argv, input.name);
  if (option && input.type == capsules::InputType::integer) all.emplace_back(capsules::AtLeast{0});
  if (!granted) return out;
  Value schema = says_nothing(all) ? property.open : value_schema(input.type, all);
  if (is_never(schema)) return out;
  const bool listed = schema.find("const") != nullptr || schema.find("enum") != nullptr;
  if (option && input.type == capsules::InputType::string && !listed) {
    if (schema.find("pattern") == nullptr) schema.object()->emplace_back("pattern", "^([^-]|$)");
    add_words(schema, "It may not begin with '-'.");
  }
  if (way.once == input.name) add_words(schema, "The id of this call: another for each call.");
  out.schema = std::move(schema);
  return out;
}

// Something is asked for that the tool does not take.
bool asks_for_more(const GrantedArguments& way, const authority::Tool& tool) {
  const auto is_input = [&tool](const std::string& name) {
    return std::ranges::find(tool.inputs, name, &InputSpec::name) != tool.inputs.end();
  };
  for (const auto* level : way.levels) {
    for (const ArgRule& rule : *level) {
      if (!rule.optional && !is_input(rule.name)) return true;
    }
  }
  return !std::ranges::all_of(way.sums, [&](const auto& sum) { return is_input(sum.argument); });
}

Value base_schema(const InputSpec& input) { return value_schema(input.type, {}); }

Property property_of(const InputSpec& input, const PinnedInputs& pinned) {
  return {&input, pinned.property(input).value_or(base_schema(input)), {}};
}

// What each of the ways takes, where all are lists of values.
std::optional<Array> values_of(const std::vector<Value>& ways) {
  Array out;
  std::set<std::string> seen;
  for (const Value& way : ways) {
    const Value* one = way.find("const");
    const Value* many = way.find("enum");
    const std::size_t members = way.find("type") == nullptr ? 1 : 2;
    if ((one == nullptr && many == nullptr) || way.object()->size() != members) return std::nullopt;
    for (const Value& value : many == nullptr ? Array{*one} : *many->array()) {
      if (seen.insert(write_canonical(value)).second) out.push_back(value);
    }
  }
  return out;
}

Value told(const Property& property) {
  const std::vector<Value>& ways = property.ways;
  const Value& base = property.open;
  if (ways.size() == 1) return ways.front();
  if (std::ranges::find(ways, base) != ways.end()) return base;
  Object out;
  if (const Value* type = base.find("type")) out.emplace_back("type", *type);
  if (std::optional<Array> values = values_of(ways)) {
    out.emplace_back("enum", std::move(*values));
  } else {
    out.emplace_back("anyOf", Array(ways.begin(), ways.end()));
  }
  return out;
}

class ToolSchema {
 public:
  explicit ToolSchema(const authority::Tool& tool) : tool_(tool), pinned_(tool) {
    for (const InputSpec& input : tool.inputs) properties_.push_back(property_of(input, pinned_));
  }

  // A way by which no call can be allowed adds nothing.
  void add(const GrantedArguments& way) {
    std::vector<Part> parts;
    for (const Property& property : properties_) {
      Part part = part_of(tool_, way, property, detail());
      if (part.required && !part.schema) return;
      if (part.schema) made_bytes_ += size_of(*part.schema);
      parts.push_back(std::move(part));
    }
    if (asks_for_more(way, tool_)) return;
    ++ways_;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Property& property = properties_[i];
      property.required += parts[i].required ? 1U : 0U;
      if (!parts[i].schema) continue;
      if (std::ranges::find(property.ways, *parts[i].schema) == property.ways.end())
        property.ways.push_back(std::move(*parts[i].schema));
    }
  }

  Value schema() const {
    if (ways_ == 0) return object({}, Told::all);
    std::vector<Value> said;     // a place for each input; null: it cannot be given
    std::set<std::size_t> full;  // places of those that say all that they can
    for (std::size_t i = 0; i < properties_.size(); ++i) {
      said.push_back(properties_[i].ways.empty() ? Value() : told(properties_[i]));
      if (!said[i].is_null()) full.insert(i);
    }
    const auto shorten = [&](std::size_t i) {
      const std::size_t before = size_of(said[i]);
      said[i] = base_schema(*properties_[i].input);
      add_words(said[i], tool_.kind == authority::ToolKind::upstream
                             ? "More is asked of it than can be told here."
                             : "The grant asks more of it than can be told here.");
      full.erase(i);
      return before - std::min(before, size_of(said[i]));
    };
    std::vector<std::size_t> sizes;
    for (std::size_t i = 0; i < said.size(); ++i) {
      if (depth_of(said[i]) > limits::kToolSchemaDepthMax) shorten(i);
      sizes.push_back(size_of(said[i]));
    }
    std::size_t total = size_of(object(said, Told::all));
    while (!full.empty() && total > limits::kToolSchemaBytesMax) {
      const auto size = [&sizes](std::size_t i) { return sizes[i]; };
      total -= shorten(*std::ranges::max_element(full, {}, size));
    }
    const bool fits = total <= limits::kToolSchemaBytesMax;
    return object(said, fits ? Told::all : Told::ours);
  }

 private:
  enum class Told : std::uint8_t { all, ours };  // with a server's words, or without
  // A holder may keep one grant many times over.
  Detail detail() const {
    return made_bytes_ > limits::kToolSchemaWorkBytes ? Detail::types : Detail::all;
  }

  std::string words_of(const std::string& input, Told which) const {
    if (tool_.kind == authority::ToolKind::builtin) return input_words(tool_.name, input);
    return which == Told::all ? pinned_.description(input) : "";
  }

  Value object(const std::vector<Value>& said, Told which) const {
    Object properties;
    Array required;
    for (std::size_t i = 0; i < said.size(); ++i) {
      if (said[i].is_null()) continue;
      const InputSpec& input = *properties_[i].input;
      const std::string words = words_of(input.name, which);
      properties.emplace_back(input.name, said[i]);
      if (!words.empty()) add_words(properties.back().second, words);
      if (properties_[i].required == ways_) required.emplace_back(input.name);
    }
    Object out{{"type", "object"}, {"additionalProperties", false}};
    const Value all = std::move(properties);
    pinned_.add_definitions(out, all);
    out.emplace_back("properties", all);
    if (!required.empty()) out.emplace_back("required", std::move(required));
    if (ways_ == 0) out.emplace_back("not", Object());
    return out;
  }

  const authority::Tool& tool_;
  PinnedInputs pinned_;
  std::vector<Property> properties_;
  std::size_t ways_ = 0;  // by which a call may be allowed
  std::size_t made_bytes_ = 0;
};

}  // namespace

Value input_schema(const authority::Tool& tool, std::span<const GrantedArguments> ways) {
  ToolSchema schema(tool);
  for (const GrantedArguments& way : ways) schema.add(way);
  return schema.schema();
}

}  // namespace taper::broker
