#include "capsules/constraints.h"

namespace taper::capsules {
namespace {

std::string listed(const std::vector<Constraint>& all, std::string_view between) {
  std::string out;
  for (const Constraint& constraint : all) {
    out += (out.empty() ? "" : std::string(between)) + describe_constraint(constraint);
  }
  return "(" + out + ")";
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string clock_time(std::int32_t seconds) {
  constexpr std::int32_t kSixty = 60;
  const auto two = [](std::int32_t number) {
    return (number < 10 ? "0" : "") + std::to_string(number);
  };
  const std::int32_t minutes = seconds / kSixty;
  const std::string out = two(minutes / kSixty) + ":" + two(minutes % kSixty);
  return seconds % kSixty == 0 ? out : out + ":" + two(seconds % kSixty);
}

std::string range(std::int64_t least, std::int64_t most) {
  return std::to_string(least) + ".." + std::to_string(most);
}

struct Describer {
  std::string operator()(const AnyValue&) const { return ""; }
  std::string operator()(const Equals& c) const { return write_canonical(c.value); }
  std::string operator()(const OneOf& c) const { return write_canonical(Value(c.values)); }
  std::string operator()(const NotOneOf& c) const { return write_canonical(Value(c.values)); }
  std::string operator()(const AtLeast& c) const { return std::to_string(c.least); }
  std::string operator()(const AtMost& c) const { return std::to_string(c.most); }
  std::string operator()(const Length& c) const { return range(c.least, c.most); }
  std::string operator()(const Prefix& c) const { return write_canonical(Value(c.text)); }
  std::string operator()(const Suffix& c) const { return write_canonical(Value(c.text)); }
  std::string operator()(const Glob& c) const { return write_canonical(Value(c.pattern)); }
  std::string operator()(const Under& c) const { return c.tree; }
  std::string operator()(const Url& c) const {
    std::string ports;
    for (const std::uint16_t port : c.ports) ports += " " + std::to_string(port);
    return listed(c.schemes) + " hosts " + listed(c.hosts) +
           (ports.empty() ? " usual port" : " ports" + ports) + " under " + c.under;
  }
  std::string operator()(const Cidr& c) const { return listed(c.blocks); }
  std::string operator()(const Argv& c) const { return listed(c.words, ", "); }
  std::string operator()(const Each& c) const { return listed(c.all, " and "); }
  std::string operator()(const Count& c) const { return range(c.least, c.most); }
  std::string operator()(const Fields& c) const {
    std::string out;
    for (const ArgRule& rule : c.rules) {
      out += (out.empty() ? "" : ", ") + write_canonical(Value(rule.name)) +
             (rule.optional ? " optional " : " ") + listed(rule.all, " and ");
    }
    return "{" + out + "}";
  }
  std::string operator()(const AllOf& c) const { return listed(c.all, " and "); }
  std::string operator()(const AnyOf& c) const { return listed(c.any, " or "); }
  std::string operator()(const TimeOfDay& c) const {
    return clock_time(c.from_s) + " to " + clock_time(c.to_s) + " at " +
           (c.offset_s < 0 ? "-" : "+") + clock_time(c.offset_s < 0 ? -c.offset_s : c.offset_s);
  }
};

}  // namespace

std::string_view constraint_name(const Constraint& constraint) {
  constexpr std::string_view kNames[] = {
      "any",    "equals", "one_of", "not_one_of", "at_least", "at_most",    "length",
      "prefix", "suffix", "glob",   "under",      "url",      "cidr",       "argv",
      "each",   "count",  "fields", "all_of",     "any_of",   "time_of_day"};
  static_assert(std::size(kNames) == std::variant_size_v<ConstraintKinds>);
  return kNames[constraint.index()];
}

std::string describe_constraint(const Constraint& constraint) {
  const std::string operand =
      std::visit(Describer{}, static_cast<const ConstraintKinds&>(constraint));
  return std::string(constraint_name(constraint)) + (operand.empty() ? "" : " " + operand);
}

}  // namespace taper::capsules
