#include "capsules/author/encode_rules.h"

namespace taper::capsules {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using Kind = wire::ConstraintKind;
using Written = flatbuffers::Offset<wire::Constraint>;

Written write_constraint(Builder& fbb, const Constraint& constraint);

class Writer {
 public:
  explicit Writer(Builder& fbb) : fbb_(fbb) {}

  Written operator()(const AnyValue&) { return begin(Kind::any).Finish(); }
  Written operator()(const Equals& c) {
    const auto json = fbb_.CreateString(write_canonical(c.value));
    auto out = begin(Kind::equals);
    out.add_json(json);
    return out.Finish();
  }
  Written operator()(const OneOf& c) { return with_values(Kind::one_of, c.values); }
  Written operator()(const NotOneOf& c) { return with_values(Kind::not_one_of, c.values); }
  Written operator()(const AtLeast& c) { return with_number(Kind::at_least, c.least); }
  Written operator()(const AtMost& c) { return with_number(Kind::at_most, c.most); }
  Written operator()(const Length& c) { return with_range(Kind::length, c.least, c.most); }
  Written operator()(const Count& c) { return with_range(Kind::count, c.least, c.most); }
  Written operator()(const Prefix& c) { return with_text(Kind::prefix, c.text); }
  Written operator()(const Suffix& c) { return with_text(Kind::suffix, c.text); }
  Written operator()(const Glob& c) { return with_text(Kind::glob, c.pattern); }
  Written operator()(const Under& c) { return with_text(Kind::under, c.tree); }
  Written operator()(const Url& c) {
    const auto schemes = fbb_.CreateVectorOfStrings(c.schemes);
    const auto hosts = fbb_.CreateVectorOfStrings(c.hosts);
    const auto ports = fbb_.CreateVector(c.ports);
    const auto under = fbb_.CreateString(c.under);
    auto out = begin(Kind::url);
    out.add_schemes(schemes);
    out.add_hosts(hosts);
    out.add_ports(ports);
    out.add_text(under);
    return out.Finish();
  }
  Written operator()(const Cidr& c) {
    const auto texts = fbb_.CreateVectorOfStrings(c.blocks);
    auto out = begin(Kind::cidr);
    out.add_texts(texts);
    return out.Finish();
  }
  Written operator()(const Argv& c) { return with_children(Kind::argv, c.words); }
  Written operator()(const Each& c) { return with_children(Kind::each, c.all); }
  Written operator()(const AllOf& c) { return with_children(Kind::all_of, c.all); }
  Written operator()(const AnyOf& c) { return with_children(Kind::any_of, c.any); }
  Written operator()(const Fields& c) {
    const WireRules rules = write_rules(fbb_, c.rules);
    auto out = begin(Kind::fields);
    out.add_rules(rules);
    return out.Finish();
  }
  Written operator()(const TimeOfDay& c) {
    auto out = begin(Kind::time_of_day);
    out.add_number(c.from_s);
    out.add_upper(c.to_s);
    out.add_offset_s(c.offset_s);
    return out.Finish();
  }

 private:
  wire::ConstraintBuilder begin(Kind kind) {
    wire::ConstraintBuilder out(fbb_);
    out.add_kind(kind);
    return out;
  }
  Written with_number(Kind kind, std::int64_t number) {
    auto out = begin(kind);
    out.add_number(number);
    return out.Finish();
  }
  Written with_range(Kind kind, std::int64_t least, std::int64_t most) {
    auto out = begin(kind);
    out.add_number(least);
    out.add_upper(most);
    return out.Finish();
  }
  Written with_text(Kind kind, const std::string& text) {
    const auto words = fbb_.CreateString(text);
    auto out = begin(kind);
    out.add_text(words);
    return out.Finish();
  }
  Written with_values(Kind kind, const std::vector<Value>& values) {
    std::vector<std::string> texts;
    for (const Value& value : values) texts.push_back(write_canonical(value));
    const auto jsons = fbb_.CreateVectorOfStrings(texts);
    auto out = begin(kind);
    out.add_jsons(jsons);
    return out.Finish();
  }
  Written with_children(Kind kind, const std::vector<Constraint>& all) {
    std::vector<Written> items;
    for (const Constraint& constraint : all) items.push_back(write_constraint(fbb_, constraint));
    const auto children = fbb_.CreateVector(items);
    auto out = begin(kind);
    out.add_children(children);
    return out.Finish();
  }

  Builder& fbb_;
};

Written write_constraint(Builder& fbb, const Constraint& constraint) {
  return std::visit(Writer(fbb), static_cast<const ConstraintKinds&>(constraint));
}

}  // namespace

WireRules write_rules(Builder& fbb, const std::vector<ArgRule>& rules) {
  std::vector<flatbuffers::Offset<wire::ArgRule>> items;
  for (const ArgRule& rule : rules) {
    std::vector<Written> constraints;
    for (const Constraint& constraint : rule.all) {
      constraints.push_back(write_constraint(fbb, constraint));
    }
    const auto name = fbb.CreateString(rule.name);
    const auto all = fbb.CreateVector(constraints);
    items.push_back(wire::CreateArgRule(fbb, name, rule.optional, all));
  }
  return fbb.CreateVector(items);
}

}  // namespace taper::capsules
