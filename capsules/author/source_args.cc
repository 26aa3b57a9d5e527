#include <algorithm>
#include <cctype>
#include <limits>

#include "capsules/address.h"
#include "capsules/author/reader.h"
#include "capsules/url.h"
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

// A list of 1 to `most` items; anything else is a finding.
const toml::array* list_of(Section& rule, std::string_view key, std::size_t most,
                           std::string_view fix) {
  const toml::node* node = rule.take(key);
  if (node == nullptr) return nullptr;
  const auto* array = node->as_array();
  if (array != nullptr && !array->empty() && array->size() <= most) return array;
  rule.wrong_type(key, "a list of 1 to " + std::to_string(most) + " items", fix);
  return nullptr;
}

std::optional<std::vector<Value>> read_values(Section& rule, std::string_view key) {
  const toml::array* array =
      list_of(rule, key, limits::kListItemsMax,
              "an empty list says nothing: name the values, or leave the argument out");
  if (array == nullptr) return std::nullopt;
  std::optional<Value> values = read_value(*array, rule.place(key), rule.report());
  if (!values) return std::nullopt;
  return std::move(*values->array());
}

void read_value_lists(Section& rule, std::vector<Constraint>& out) {
  if (auto values = read_values(rule, "one_of")) out.emplace_back(OneOf{std::move(*values)});
  auto others = read_values(rule, "not_one_of");
  if (!others) return;
  const bool plain = std::ranges::all_of(*others, [](const Value& value) {
    return value.array() == nullptr && value.object() == nullptr;
  });
  if (plain) {
    out.emplace_back(NotOneOf{std::move(*others)});
  } else {
    rule.wrong_type("not_one_of", "a list of texts, whole numbers, true or false",
                    "name what is allowed instead: one_of, each, fields");
  }
}

template <class Range>  // Length, Count
void read_range(Section& rule, std::string_view key, std::int64_t greatest,
                std::vector<Constraint>& out) {
  std::optional<Section> bounds = rule.section(key);
  if (!bounds) return;
  const auto least = bounds->integer("at_least", 0, greatest);
  const auto most = bounds->integer("at_most", 0, greatest);
  bounds->finish();
  if (bounds->table().empty()) {
    rule.wrong_type(key, "a table with at_least, at_most or both",
                    "write " + std::string(key) + " = { at_least = 1, at_most = 200 }");
    return;
  }
  out.emplace_back(Range{least.value_or(0), most.value_or(greatest)});
}

void read_texts(Section& rule, std::vector<Constraint>& out) {
  if (auto text = rule.text("prefix", limits::kTextBytesMax)) out.emplace_back(Prefix{*text});
  if (auto text = rule.text("suffix", limits::kTextBytesMax)) out.emplace_back(Suffix{*text});
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

// Words of a list that must not be empty, each as `is_good` asks.
template <class Test>
std::vector<std::string> read_words(Section& section, std::string_view key, const Test& is_good,
                                    std::string_view expected, std::string_view fix) {
  auto words = section.words(key, limits::kListItemsMax);
  if (words && !words->empty() && std::ranges::all_of(*words, is_good)) return std::move(*words);
  if (words || section.take(key) == nullptr) section.wrong_type(key, expected, fix);
  return {};
}

void read_ports(Section& section, std::vector<std::uint16_t>& out) {
  constexpr std::string_view kFix = "write ports = [443], or leave it out for the scheme's own";
  const toml::array* array = list_of(section, "ports", limits::kListItemsMax, kFix);
  if (array == nullptr) return;
  for (const toml::node& node : *array) {
    const std::int64_t port = node.is_integer() ? node.as_integer()->get() : 0;
    if (port < 1 || port > std::numeric_limits<std::uint16_t>::max()) {
      section.wrong_type("ports", "a list of whole numbers from 1 to 65535", kFix);
      return;
    }
    out.push_back(static_cast<std::uint16_t>(port));
  }
}

void read_url(Section& rule, std::vector<Constraint>& out) {
  std::optional<Section> url = rule.section("url");
  if (!url) return;
  Url read;
  read.schemes = read_words(*url, "schemes", is_url_scheme, "a list of schemes in lower case",
                            "write schemes = [\"https\"]");
  read.hosts =
      read_words(*url, "hosts", is_url_host,
                 "a list of host names in lower case, dotted decimal addresses or [IPv6] addresses",
                 "write hosts = [\"a.example\"]: no port, no trailing dot, no wildcard");
  read_ports(*url, read.ports);
  read.under = url->text("under", limits::kTextBytesMax).value_or("/");
  if (!is_plain_path(read.under) || !is_url_path(read.under)) {
    url->wrong_type("under", "a URL's path in plain form",
                    "no empty, '.' or '..' part and no trailing slash: \"/api\"");
  }
  url->finish();
  out.emplace_back(std::move(read));
}

void read_cidr(Section& rule, std::vector<Constraint>& out) {
  if (rule.take("cidr") == nullptr) return;
  out.emplace_back(Cidr{read_words(
      rule, "cidr", [](const std::string& text) { return parse_block(text).has_value(); },
      "a list of address blocks in their one form",
      "write cidr = [\"10.0.0.0/8\", \"fd00::/8\"]: bits behind the prefix are 0")});
}

// "06:00"; empty: it is none.
std::optional<std::int32_t> clock_time_s(std::string_view text) {
  const auto two_digits = [text](std::size_t at, std::int32_t most) -> std::optional<std::int32_t> {
    const bool digits = std::isdigit(static_cast<unsigned char>(text[at])) != 0 &&
                        std::isdigit(static_cast<unsigned char>(text[at + 1])) != 0;
    const std::int32_t number = (text[at] - '0') * 10 + (text[at + 1] - '0');
    return digits && number <= most ? std::optional(number) : std::nullopt;
  };
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hours = two_digits(0, 23);
  const auto minutes = two_digits(3, 59);
  if (!hours || !minutes) return std::nullopt;
  return (*hours * 60 + *minutes) * 60;
}

void read_time_of_day(Section& rule, std::vector<Constraint>& out) {
  std::optional<Section> time = rule.section("time_of_day");
  if (!time) return;
  const auto clock = [&time](std::string_view key) {
    const std::string text =
        time->required_text(key, limits::kNameBytesMax, "\"06:00\"").value_or("");
    const auto seconds = clock_time_s(text);
    if (!seconds && !text.empty()) {
      time->wrong_type(key, "a time of the day", "write \"06:00\": two digits, 00:00 to 23:59");
    }
    return seconds;
  };
  const auto from = clock("from");
  const auto to = clock("to");
  const std::string text =
      time->required_text("offset", limits::kNameBytesMax, "\"+00:00\"").value_or("");
  const auto offset = text.empty() ? std::nullopt : clock_time_s(std::string_view(text).substr(1));
  const bool good =
      offset && *offset <= limits::kUtcOffsetMaxS && (text[0] == '+' || text[0] == '-');
  if (!good && !text.empty()) {
    time->wrong_type("offset", "a fixed offset from UTC", "write \"+02:00\", at most 14 hours");
  }
  time->finish();
  if (from && to && *from == *to) {
    time->wrong_type("to", "another time than 'from'", "leave time_of_day out for the whole day");
  }
  if (from && to && good)
    out.emplace_back(TimeOfDay{*from, *to, text[0] == '-' ? -*offset : *offset});
}

std::vector<Constraint> read_constraints(Section& rule, std::size_t depth);
std::vector<ArgRule> read_rules_at(Section& args, std::size_t depth);

// "any", or a table of constraints; anything else is a finding, and nothing.
std::vector<Constraint> read_nested(const toml::node& node, const Place& place, Report& report,
                                    std::size_t depth) {
  if (depth > limits::kConstraintDepthMax) {
    report.error(Code::source_invalid, place, "constraints are nested too deeply here",
                 "nest at most " + std::to_string(limits::kConstraintDepthMax) + " deep");
  } else if (const auto* table = node.as_table()) {
    Section rule(*table, place, report);
    std::vector<Constraint> out = read_constraints(rule, depth);
    rule.finish();
    if (table->empty()) {
      report.error(Code::source_invalid, place, "no constraint is named",
                   "say \"any\" if every value is meant");
    }
    return out;
  } else if (node.is_string() && node.as_string()->get() == "any") {
    return {AnyValue{}};
  } else {
    report.error(Code::source_invalid, place,
                 "a bare value is not a constraint; only \"any\" may stand alone",
                 "write { equals = … } for exactly this value, or \"any\"");
  }
  return {};
}

// A list of such, each of which becomes one constraint.
std::vector<Constraint> read_list(Section& rule, std::string_view key, std::size_t most,
                                  std::size_t depth) {
  const toml::array* array = list_of(rule, key, most, "an empty list allows nothing");
  std::vector<Constraint> out;
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const Place place{rule.place(key).path + "[" + std::to_string(i) + "]", line_of((*array)[i])};
    const bool several = (*array)[i].is_table() && (*array)[i].as_table()->size() > 1;
    std::vector<Constraint> item =
        read_nested((*array)[i], place, rule.report(), several ? depth + 1 : depth);
    if (item.size() == 1) out.push_back(std::move(item.front()));
    if (item.size() > 1) out.emplace_back(AllOf{std::move(item)});
  }
  return out;
}

void read_structures(Section& rule, std::size_t depth, std::vector<Constraint>& out) {
  constexpr std::size_t kAll = limits::kConstraintsPerArgMax;
  auto words = read_list(rule, "argv", limits::kArgvWordsMax, depth + 1);
  if (!words.empty()) out.emplace_back(Argv{std::move(words)});
  if (const toml::node* each = rule.take("each")) {
    auto all = read_nested(*each, rule.place("each"), rule.report(), depth + 1);
    if (!all.empty()) out.emplace_back(Each{std::move(all)});
  }
  read_range<Count>(rule, "count", limits::kJsonNodesMax, out);
  if (std::optional<Section> fields = rule.section("fields")) {
    auto rules = read_rules_at(*fields, depth + 1);
    if (!rules.empty()) out.emplace_back(Fields{std::move(rules)});
    if (fields->table().empty()) {
      rule.wrong_type("fields", "a table with a rule for each member",
                      "write { equals = {} } for the empty object");
    }
  }
  auto all = read_list(rule, "all_of", kAll, depth + 1);
  if (!all.empty()) out.emplace_back(AllOf{std::move(all)});
  auto any = read_list(rule, "any_of", limits::kAlternativesMax, depth + 1);
  if (!any.empty()) out.emplace_back(AnyOf{std::move(any)});
}

// Every constraint of a table but `optional`.
std::vector<Constraint> read_constraints(Section& rule, std::size_t depth) {
  std::vector<Constraint> out;
  read_any(rule, out);
  read_equals(rule, out);
  read_value_lists(rule, out);
  if (auto least = rule.integer("at_least", kLeast, kMost)) out.emplace_back(AtLeast{*least});
  if (auto most = rule.integer("at_most", kLeast, kMost)) out.emplace_back(AtMost{*most});
  read_range<Length>(rule, "length", limits::kArgumentBytesMax, out);
  read_texts(rule, out);
  read_url(rule, out);
  read_cidr(rule, out);
  read_structures(rule, depth, out);
  read_time_of_day(rule, out);
  return out;
}

ArgRule read_rule_table(const std::string& name, Section rule, std::size_t depth) {
  ArgRule out;
  out.name = name;
  const std::size_t keys = rule.table().size();
  const bool says_optional = rule.table().contains("optional");
  out.optional = rule.boolean("optional").value_or(false);
  out.all = read_constraints(rule, depth);
  rule.finish();
  if (keys == (says_optional ? 1U : 0U)) {
    rule.report().error(Code::source_invalid, rule.place(), "no constraint is named",
                        "say any = true if every value is meant");
  }
  return out;
}

std::vector<ArgRule> read_rules_at(Section& args, std::size_t depth) {
  std::vector<ArgRule> out;
  for (const auto& [key, node] : args.table()) {
    const std::string name(key.str());
    const Place place = args.place(name);
    if (name.empty() || name.size() > limits::kNameBytesMax) {
      args.report().error(Code::source_invalid, place, "an argument's name is 1 to 256 bytes",
                          "name an input of the tool");
    } else if (node.is_table() && depth <= limits::kConstraintDepthMax) {
      out.push_back(read_rule_table(name, Section(*node.as_table(), place, args.report()), depth));
    } else if (auto all = read_nested(node, place, args.report(), depth); !all.empty()) {
      out.push_back(ArgRule{name, false, std::move(all)});
    }
  }
  if (out.size() > limits::kArgsPerGrantMax) {
    args.report().error(Code::source_invalid, args.place(), "too many arguments",
                        "name at most " + std::to_string(limits::kArgsPerGrantMax));
  }
  return out;
}

}  // namespace

std::vector<ArgRule> read_rules(Section& args) { return read_rules_at(args, 1); }

}  // namespace taper::capsules
