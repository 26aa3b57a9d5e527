#include <algorithm>
#include <array>

#include "capsules/author/lint.h"
#include "capsules/granted_paths.h"

namespace taper::capsules {
namespace {

template <class Kind>
const Kind* find(const ArgRule& rule) {
  for (const Constraint& constraint : rule.all) {
    if (const Kind* found = std::get_if<Kind>(&constraint)) return found;
  }
  return nullptr;
}

template <class... Kinds>
bool has(const ArgRule& rule) {
  return ((find<Kinds>(rule) != nullptr) || ...);
}

bool is_path(const ArgRule& rule, InputType type) {
  return type == InputType::path || speaks_of_path(rule.all);
}

bool fits_type(const Value& value, InputType type) {
  switch (type) {
    case InputType::string:
    case InputType::path: return value.text() != nullptr;
    case InputType::integer: return value.integer() != nullptr;
    case InputType::boolean: return value.boolean() != nullptr;
    case InputType::json:
    case InputType::unset: break;
  }
  return true;
}

bool value_passes(const ArgRule& rule, InputType type, const Value& value) {
  if (!fits_type(value, type)) return false;
  if (is_path(rule, type) && (value.text() == nullptr || !is_plain_path(*value.text()))) {
    return false;
  }
  return std::ranges::all_of(rule.all, [&value](const Constraint& constraint) {
    return holds(constraint, value, kAnyMoment);
  });
}

// The values that the rule names one by one; empty: it names none.
std::vector<Value> named_values(const ArgRule& rule) {
  if (const Equals* equals = find<Equals>(rule)) return {equals->value};
  if (const OneOf* one_of = find<OneOf>(rule)) return one_of->values;
  const Glob* glob = find<Glob>(rule);
  if (glob != nullptr && glob->pattern.find_first_of("*?") == std::string::npos) {
    return {Value(glob->pattern)};
  }
  return {};
}

// Values of two types in one not_one_of: one of them excluded in one type passes in the other.
bool mixes_excluded(const ArgRule& rule) {
  return std::ranges::any_of(rule.all, [](const Constraint& constraint) {
    const auto* others = std::get_if<NotOneOf>(&constraint);
    if (others == nullptr) return false;
    const auto texts = std::ranges::count_if(
        others->values, [](const Value& value) { return value.text() != nullptr; });
    return texts != 0 && std::cmp_not_equal(texts, others->values.size());
  });
}

// Some text begins with `start` and is `tree` or lies below it.
bool may_be_under(std::string_view start, std::string_view tree) {
  return tree.starts_with(start) || is_under(start, tree);
}

std::string text_contradiction(const ArgRule& rule, InputType type) {
  std::vector<std::string> starts;
  std::size_t shortest = 0;
  if (const Prefix* prefix = find<Prefix>(rule)) {
    starts.push_back(prefix->text);
    shortest = prefix->text.size();
  }
  if (const Glob* glob = find<Glob>(rule)) {
    starts.push_back(glob->pattern.substr(0, glob->pattern.find_first_of("*?")));
    const auto stars = std::ranges::count(glob->pattern, '*');
    shortest = std::max(shortest, glob->pattern.size() - static_cast<std::size_t>(stars));
  }
  const bool diverge =
      starts.size() == 2 && !starts[0].starts_with(starts[1]) && !starts[1].starts_with(starts[0]);
  if (diverge) return "its prefix and its glob begin differently";
  if (has<Url>(rule) && is_path(rule, type)) return "a URL is no path";
  if (const Suffix* suffix = find<Suffix>(rule)) shortest = std::max(shortest, suffix->text.size());
  const Under* under = find<Under>(rule);
  if (under != nullptr) shortest = std::max(shortest, under->tree.size());
  for (const std::string& start : starts) {
    if (under != nullptr && !may_be_under(start, under->tree)) {
      return "nothing under " + under->tree + " begins with " + start;
    }
    if (is_path(rule, type) && !may_be_under(start, "/")) return "every path begins with '/'";
  }
  const Length* length = find<Length>(rule);
  if (length == nullptr) return "";
  if (length->least > length->most) return "its shortest length is above its longest";
  if (std::cmp_greater(shortest, length->most))
    return "its length is too short for its other rules";
  return "";
}

std::string type_contradiction(const ArgRule& rule, InputType type) {
  const bool of_text = has<Length, Prefix, Suffix, Glob, Under, Url, Cidr>(rule);
  const bool of_number = has<AtLeast, AtMost>(rule);
  const bool of_array = has<Argv, Each, Count>(rule);
  const bool of_object = has<Fields>(rule);
  if (of_text + of_number + of_array + of_object > 1)
    return "it asks for values of two types at once";
  const bool takes_all = type == InputType::json || type == InputType::unset;
  const bool takes_text = type != InputType::integer && type != InputType::boolean;
  if (of_text && !takes_text) return "the tool takes no text here";
  if (of_number && !takes_all && type != InputType::integer) {
    return "the tool takes no whole number here";
  }
  if ((of_array || of_object) && !takes_all) return "the tool takes no array or object here";
  const AtLeast* least = find<AtLeast>(rule);
  const AtMost* most = find<AtMost>(rule);
  if (least != nullptr && most != nullptr && least->least > most->most) {
    return "at_least is above at_most";
  }
  return "";
}

// The folders and files that the sandbox would mount for the rule; nothing: it cannot know them.
std::optional<std::vector<std::string>> mounted_paths(const ArgRule& rule, InputType type,
                                                      const KnownTool& tool) {
  const auto paths = granted_paths(rule, type);
  if (!paths) return std::nullopt;
  const bool parent_too = tool.builtin && tool.effect != Effect::read;
  std::vector<std::string> out;
  for (const auto& [path, tree] : *paths) {
    const std::size_t slash = path.rfind('/');
    const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
    out.push_back(parent_too && !tree ? parent : path);
  }
  return out;
}

}  // namespace

std::string never_holds(const ArgRule& nested, InputType type) {
  const ArgRule rule = flattened(nested);
  if (rule.all.empty()) return "it has no constraint";
  if (const OneOf* one_of = find<OneOf>(rule); one_of != nullptr && one_of->values.empty()) {
    return "one_of is empty";
  }
  if (std::string why = type_contradiction(rule, type); !why.empty()) return why;
  if (std::string why = text_contradiction(rule, type); !why.empty()) return why;
  if (std::string why = nested_contradiction(rule, type); !why.empty()) return why;
  const std::vector<Value> values = named_values(rule);
  const bool none = std::ranges::none_of(
      values, [&](const Value& value) { return value_passes(rule, type, value); });
  if (!values.empty() && none) {
    return "the value named breaks the argument's other rules, its form or its type";
  }
  return "";
}

void lint_rule(const ArgRule& nested, const InputSpec& input, const std::string& path,
               LintReport& report) {
  const ArgRule rule = flattened(nested);
  const std::string why = never_holds(rule, input.type);
  if (!why.empty()) {
    report.error(Code::source_invalid, path, "no value can ever match: " + why,
                 "mend the rules so that one value passes them all, or leave the argument out");
    return;
  }
  if (input.type == InputType::json && mixes_excluded(rule)) {
    report.error(Code::source_invalid, path,
                 "not_one_of names values of two types, but a tool is given words: 1 and \"1\" are "
                 "the same to it",
                 "name values of one type, or say what is meant with one_of");
  }
  for (const Value& value : named_values(rule)) {
    if (value_passes(rule, input.type, value)) continue;
    report.note(path, "the choice " + write_canonical(value) + " can never match", "leave it out");
  }
  if (rule.optional && !input.optional) {
    report.note(path, "the tool needs '" + input.name + "', so calls without it fail",
                "leave out optional = true");
  }
}

void lint_trees(const ArgRule& rule, const KnownTool& tool, const std::string& path,
                LintReport& report) {
  const auto input = std::ranges::find(tool.inputs, rule.name, &InputSpec::name);
  if (input == tool.inputs.end()) return;
  const auto mounted = mounted_paths(rule, input->type, tool);
  if (!mounted) {
    report.error(Code::source_invalid, path,
                 "the sandbox gives a tool only what a path argument names: 'under', 'equals' or "
                 "'one_of' is missing, or stands in some alternatives only",
                 "write " + rule.name + " = { under = \"/a/folder\" }");
    return;
  }
  constexpr std::array<std::string_view, 4> kForbidden = {"/proc", "/sys", "/dev", "/run/secrets"};
  for (const std::string& granted : *mounted) {
    for (const std::string_view forbidden : kForbidden) {
      if (!is_under(granted, forbidden) && !is_under(forbidden, granted)) continue;
      report.error(Code::tree_refused, path,
                   granted + " would have to be given to the tool; it is, contains or lies in " +
                       std::string(forbidden),
                   "name a folder that holds only what the task is about");
      break;
    }
  }
}

}  // namespace taper::capsules
