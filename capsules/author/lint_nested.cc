#include <algorithm>

#include "capsules/author/lint.h"

namespace taper::capsules {
namespace {

void add_flat(const std::vector<Constraint>& all, std::vector<Constraint>& out) {
  for (const Constraint& one : all) {
    if (const auto* all_of = std::get_if<AllOf>(&one)) {
      add_flat(all_of->all, out);
    } else {
      out.push_back(one);
    }
  }
}

template <class Kind>
const Kind* find(const ArgRule& rule) {
  for (const Constraint& constraint : rule.all) {
    if (const Kind* found = std::get_if<Kind>(&constraint)) return found;
  }
  return nullptr;
}

// The alternatives of one any_of, each beside what is no any_of itself.
std::string no_alternative(const ArgRule& rule, const AnyOf& any_of, InputType type) {
  ArgRule rest = rule;
  std::erase_if(rest.all, [](const Constraint& c) { return std::holds_alternative<AnyOf>(c); });
  std::string why;
  for (const Constraint& one : any_of.any) {
    ArgRule alternative = rest;
    alternative.all.push_back(one);
    why = never_holds(alternative, type);
    if (why.empty()) return "";
  }
  return "no alternative of any_of can hold; the last: " + why;
}

std::string no_words(const ArgRule& rule, const Argv& argv) {
  const Count* count = find<Count>(rule);
  const bool fits = count == nullptr || (std::cmp_greater_equal(argv.words.size(), count->least) &&
                                         std::cmp_less_equal(argv.words.size(), count->most));
  if (!fits) return "argv and count ask for different numbers of items";
  for (const Constraint& word : argv.words) {
    const std::string why = never_holds({rule.name, false, {word}}, InputType::string);
    if (!why.empty()) return "a word of argv can never match: " + why;
  }
  return "";
}

std::string no_items(const ArgRule& rule) {
  const Count* count = find<Count>(rule);
  if (count == nullptr) return "";
  if (count->least > count->most) return "its smallest count is above its largest";
  const Each* each = find<Each>(rule);
  if (each == nullptr || count->least == 0) return "";
  const std::string why = never_holds({rule.name, false, each->all}, InputType::json);
  return why.empty() ? "" : "no item can ever match: " + why;
}

std::string no_member(const Fields& fields) {
  for (const ArgRule& member : fields.rules) {
    if (member.optional) continue;
    const std::string why = never_holds(member, InputType::json);
    if (!why.empty()) return "the member '" + member.name + "' can never match: " + why;
  }
  return "";
}

}  // namespace

ArgRule flattened(const ArgRule& rule) {
  ArgRule out{rule.name, rule.optional, {}};
  add_flat(rule.all, out.all);
  return out;
}

std::string nested_contradiction(const ArgRule& rule, InputType type) {
  for (const Constraint& one : rule.all) {
    std::string why;
    if (const auto* any_of = std::get_if<AnyOf>(&one)) why = no_alternative(rule, *any_of, type);
    if (const auto* argv = std::get_if<Argv>(&one)) why = no_words(rule, *argv);
    if (const auto* fields = std::get_if<Fields>(&one)) why = no_member(*fields);
    if (!why.empty()) return why;
  }
  return no_items(rule);
}

bool is_wildcard(const std::vector<Constraint>& all) {
  return std::ranges::all_of(all, [](const Constraint& one) {
    const auto alone = [](const Constraint& c) { return is_wildcard({c}); };
    if (const auto* argv = std::get_if<Argv>(&one)) return std::ranges::any_of(argv->words, alone);
    if (const auto* each = std::get_if<Each>(&one)) return is_wildcard(each->all);
    if (const auto* all_of = std::get_if<AllOf>(&one)) return is_wildcard(all_of->all);
    if (const auto* any_of = std::get_if<AnyOf>(&one))
      return std::ranges::any_of(any_of->any, alone);
    if (const auto* fields = std::get_if<Fields>(&one)) {
      return std::ranges::any_of(fields->rules,
                                 [](const ArgRule& member) { return is_wildcard(member.all); });
    }
    return std::holds_alternative<AnyValue>(one) || std::holds_alternative<NotOneOf>(one) ||
           std::holds_alternative<Count>(one) || std::holds_alternative<TimeOfDay>(one);
  });
}

}  // namespace taper::capsules
