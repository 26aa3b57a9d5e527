#include <limits>

#include "capsules/author/reader.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

void read_any(Section& rule, std::vector<Constraint>& out) {
  const std::optional<bool> any = rule.boolean("any");
  if (!any) return;
  if (*any) {
    out.emplace_back(AnyValue{});
  } else {
    rule.wrong_type("any", "true", "leave it out: an argument that is not named is refused");
  }
}

void read_equals(Section& rule, std::vector<Constraint>& out) {
  const toml::node* node = rule.take("equals");
  if (node == nullptr) return;
  std::optional<Value> value = read_value(*node, rule.place("equals"), rule.report());
  if (value) out.emplace_back(Equals{std::move(*value)});
}

void read_one_of(Section& rule, std::vector<Constraint>& out) {
  const toml::node* node = rule.take("one_of");
  if (node == nullptr) return;
  const auto* array = node->as_array();
  if (array == nullptr || array->empty() || array->size() > limits::kListItemsMax) {
    rule.wrong_type("one_of", "a list of 1 to " + std::to_string(limits::kListItemsMax) + " values",
                    "an empty list allows nothing: name the values, or leave the argument out");
    return;
  }
  std::optional<Value> values = read_value(*node, rule.place("one_of"), rule.report());
  if (values) out.emplace_back(OneOf{std::move(*values->array())});
}

void read_length(Section& rule, std::vector<Constraint>& out) {
  const toml::node* node = rule.take("length");
  if (node == nullptr) return;
  constexpr auto kBytesMax = static_cast<std::int64_t>(limits::kArgumentBytesMax);
  if (!node->is_table()) {
    rule.wrong_type("length", "a table of at_least and at_most",
                    "write length = { at_least = 1, at_most = 200 }");
    return;
  }
  Section bounds = *rule.section("length");
  const auto least = bounds.integer("at_least", 0, kBytesMax);
  const auto most = bounds.integer("at_most", 0, kBytesMax);
  bounds.finish();
  if (bounds.table().empty()) {
    rule.wrong_type("length", "a table with at_least, at_most or both",
                    "write length = { at_most = 200 }");
    return;
  }
  out.emplace_back(Length{least.value_or(0), most.value_or(kBytesMax)});
}

void read_texts(Section& rule, std::vector<Constraint>& out) {
  if (auto text = rule.text("prefix", limits::kTextBytesMax)) out.emplace_back(Prefix{*text});
  if (auto text = rule.text("glob", limits::kTextBytesMax)) out.emplace_back(Glob{*text});
  const std::optional<std::string> tree = rule.text("under", limits::kTextBytesMax);
  if (!tree) return;
  if (is_plain_path(*tree)) {
    out.emplace_back(Under{*tree});
  } else {
    rule.wrong_type("under", "an absolute path in plain form",
                    "no empty, '.' or '..' part and no trailing slash: \"/var/log/plant\"");
  }
}

ArgRule read_rule_table(const std::string& name, Section rule) {
  ArgRule out;
  out.name = name;
  const std::size_t keys = rule.table().size();
  const bool says_optional = rule.table().contains("optional");
  out.optional = rule.boolean("optional").value_or(false);
  read_any(rule, out.all);
  read_equals(rule, out.all);
  read_one_of(rule, out.all);
  if (auto least = rule.integer("at_least", kLeast, kMost)) out.all.emplace_back(AtLeast{*least});
  if (auto most = rule.integer("at_most", kLeast, kMost)) out.all.emplace_back(AtMost{*most});
  read_length(rule, out.all);
  read_texts(rule, out.all);
  rule.not_yet({"not_one_of", "suffix", "url", "cidr", "argv", "each", "count", "fields", "all_of",
                "any_of", "time_of_day"});
  rule.finish();
  if (keys == (says_optional ? 1U : 0U)) {
    rule.report().error(Code::source_invalid, rule.place(), "no constraint is named",
                        "say any = true if every value is meant");
  }
  return out;
}

}  // namespace

std::vector<ArgRule> read_rules(Section& args) {
  std::vector<ArgRule> out;
  for (const auto& [key, node] : args.table()) {
    const std::string name(key.str());
    const Place place = args.place(name);
    if (name.empty() || name.size() > limits::kNameBytesMax) {
      args.report().error(Code::source_invalid, place, "an argument's name is 1 to 256 bytes",
                          "name an input of the tool");
    } else if (const auto* table = node.as_table()) {
      out.push_back(read_rule_table(name, Section(*table, place, args.report())));
    } else if (node.is_string() && node.as_string()->get() == "any") {
      out.push_back(ArgRule{name, false, {AnyValue{}}});
    } else {
      args.report().error(Code::source_invalid, place,
                          "a bare value is not a constraint; only \"any\" may stand alone",
                          "write { equals = … } for exactly this value, or \"any\"");
    }
  }
  if (out.size() > limits::kArgsPerGrantMax) {
    args.report().error(Code::source_invalid, args.place(), "too many arguments",
                        "name at most " + std::to_string(limits::kArgsPerGrantMax));
  }
  return out;
}

}  // namespace taper::capsules
