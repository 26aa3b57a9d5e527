#include "capsules/author/show_rules.h"

#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

namespace json = boost::json;

json::object range_json(std::int64_t least, std::int64_t most) {
  return {{"at_least", least}, {"at_most", most}};
}

json::array all_json(const std::vector<Constraint>& all);

struct ConstraintJson {
  json::object& out;
  void operator()(const AnyValue&) { out["any"] = true; }
  void operator()(const Equals& c) { out["equals"] = value_json(c.value); }
  void operator()(const OneOf& c) { out["one_of"] = value_json(Value(c.values)); }
  void operator()(const NotOneOf& c) { out["not_one_of"] = value_json(Value(c.values)); }
  void operator()(const AtLeast& c) { out["at_least"] = c.least; }
  void operator()(const AtMost& c) { out["at_most"] = c.most; }
  void operator()(const Length& c) { out["length"] = range_json(c.least, c.most); }
  void operator()(const Prefix& c) { out["prefix"] = text_json(c.text); }
  void operator()(const Suffix& c) { out["suffix"] = text_json(c.text); }
  void operator()(const Glob& c) { out["glob"] = text_json(c.pattern); }
  void operator()(const Under& c) { out["under"] = text_json(c.tree); }
  void operator()(const Url& c) {
    json::array ports;
    for (const std::uint16_t port : c.ports) ports.emplace_back(port);
    out["url"] = json::object{{"schemes", texts_json(c.schemes)},
                              {"hosts", texts_json(c.hosts)},
                              {"ports", std::move(ports)},
                              {"under", text_json(c.under)}};
  }
  void operator()(const Cidr& c) { out["cidr"] = texts_json(c.blocks); }
  void operator()(const Argv& c) { out["argv"] = all_json(c.words); }
  void operator()(const Each& c) { out["each"] = all_json(c.all); }
  void operator()(const Count& c) { out["count"] = range_json(c.least, c.most); }
  void operator()(const Fields& c) { out["fields"] = rules_json(c.rules); }
  void operator()(const AllOf& c) { out["all_of"] = all_json(c.all); }
  void operator()(const AnyOf& c) { out["any_of"] = all_json(c.any); }
  void operator()(const TimeOfDay& c) {
    out["time_of_day"] =
        json::object{{"from_s", c.from_s}, {"to_s", c.to_s}, {"offset_s", c.offset_s}};
  }
};

json::array all_json(const std::vector<Constraint>& all) {
  json::array out;
  for (const Constraint& constraint : all) {
    json::object one;
    std::visit(ConstraintJson{one}, static_cast<const ConstraintKinds&>(constraint));
    out.emplace_back(std::move(one));
  }
  return out;
}

}  // namespace

json::string text_json(std::string_view text) {
  return json::string(is_utf8(text) ? std::string(text) : escape_text(text));
}

json::array texts_json(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text_json(text));
  return out;
}

json::value value_json(const Value& value) {
  if (const bool* truth = value.boolean()) return *truth;
  if (const std::int64_t* integer = value.integer()) return *integer;
  if (const Number* number = value.number()) return json::object{{"number", number->text}};
  if (const std::string* text = value.text()) return text_json(*text);
  if (const Array* array = value.array()) {
    json::array out;
    for (const Value& item : *array) out.emplace_back(value_json(item));
    return out;
  }
  if (const Object* object = value.object()) {
    json::object out;
    for (const auto& [name, member] : *object)
      out.insert_or_assign(text_json(name), value_json(member));
    return out;
  }
  return nullptr;
}

json::array rules_json(const std::vector<ArgRule>& rules) {
  json::array out;
  for (const ArgRule& rule : rules) {
    out.emplace_back(json::object{
        {"name", text_json(rule.name)}, {"optional", rule.optional}, {"all", all_json(rule.all)}});
  }
  return out;
}

}  // namespace taper::capsules
