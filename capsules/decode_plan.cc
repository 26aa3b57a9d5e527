#include "capsule_generated.h"
#include "capsules/decode.h"

namespace taper::capsules {
namespace {

using S = wire::Step;

constexpr Field kId{S::VT_ID, "id"};
constexpr Field kArgs{S::VT_ARGS, "args"};
constexpr Field kNeeds{S::VT_NEEDS, "needs"};

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_pointer(std::string_view text) {
  if (!text.empty() && text.front() != '/') return false;
  for (std::size_t at = text.find('~'); at != text.npos; at = text.find('~', at + 1)) {
    const std::string_view escaped = text.substr(at + 1, 1);
    if (escaped != "0" && escaped != "1") return false;
  }
  return true;
}

// What a step may refer to.
struct Known {
  const std::vector<std::string>& inputs;
  const std::vector<std::string>& earlier;  // ids of steps
};

bool is_text_of(const Value* value, const std::vector<std::string>& names) {
  return value != nullptr && value->text() != nullptr && contains(names, *value->text());
}

bool is_reference(const Object& object, const Known& known) {
  const Value whole(object);
  if (object.size() == 1) return is_text_of(whole.find("$input"), known.inputs);
  const Value* at = whole.find("at");
  return object.size() == 2 && is_text_of(whole.find("$step"), known.earlier) && at != nullptr &&
         at->text() != nullptr && is_pointer(*at->text());
}

bool has_dollar_key(const Object& object) {
  return std::any_of(object.begin(), object.end(),
                     [](const auto& member) { return member.first.starts_with('$'); });
}

// The depth is bounded by the parser that made the value.
bool references_hold(const Value& value, const Known& known) {
  if (const Array* items = value.array()) {
    return std::all_of(items->begin(), items->end(),
                       [&](const Value& item) { return references_hold(item, known); });
  }
  const Object* object = value.object();
  if (object == nullptr) return true;
  if (has_dollar_key(*object)) return is_reference(*object, known);
  return std::all_of(object->begin(), object->end(),
                     [&](const auto& member) { return references_hold(member.second, known); });
}

void check_args(const WireTable& table, const std::string& args, const Known& known) {
  const Result<Value> value = parse_value(as_bytes(args), limits::kCapsuleBytesMax);
  if (!value || value->object() == nullptr || write_canonical(*value) != args) {
    return table.invalid(kArgs, "a JSON object in canonical form", args);
  }
  if (has_dollar_key(*value->object()) || !references_hold(*value, known)) {
    table.invalid(kArgs, "$input of this plan, or $step of an earlier step and at", args);
  }
}

Step decode_step(const WireTable& table, const Known& known) {
  Step out;
  table.refuse({{S::VT_RETRIES, "retries"},
                {S::VT_BACKOFF_MS, "backoff_ms"},
                {S::VT_FOR_EACH, "for_each"},
                {S::VT_FOR_EACH_MAX, "for_each_max"},
                {S::VT_APPROVAL, "approval"}});
  out.id = table.text(kId, limits::kNameBytesMax);
  if (contains(known.earlier, out.id)) table.invalid(kId, "each id once", out.id);
  out.tool = table.text({S::VT_TOOL, "tool"}, limits::kNameBytesMax);
  out.needs = table.names(kNeeds, limits::kNeedsMax);
  for (const std::string& need : out.needs) {
    if (!contains(known.earlier, need)) table.invalid(kNeeds, "ids of earlier steps", need);
  }
  out.args = table.text(kArgs, limits::kCapsuleBytesMax);
  check_args(table, out.args, known);
  constexpr Field kOnError{S::VT_ON_ERROR, "on_error"};
  const auto on_error = table.choice(kOnError, wire::OnError::MAX);
  if (on_error == wire::OnError::retry) {
    table.fail(Code::not_enforced_yet, kOnError, "stop or carry_on", "retry");
  }
  out.on_error = static_cast<OnError>(on_error);
  return out;
}

}  // namespace

Plan decode_plan(const WireTable& table) {
  using P = wire::Plan;
  constexpr Field kSteps{P::VT_STEPS, "steps"};
  Plan out;
  out.inputs = table.names({P::VT_INPUTS, "inputs"}, limits::kInputsMax);
  std::vector<std::string> earlier;
  table.each(kSteps, limits::kStepsMax, S::VT_APPROVAL, [&](const WireTable& item) {
    out.steps.push_back(decode_step(item, {out.inputs, earlier}));
    earlier.push_back(out.steps.back().id);
  });
  table.require(kSteps, !out.steps.empty());
  return out;
}

}  // namespace taper::capsules
