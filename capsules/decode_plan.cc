#include "capsule_generated.h"
#include "capsules/decode.h"

namespace taper::capsules {
namespace {

using S = wire::Step;

constexpr Field kId{S::VT_ID, "id"};
constexpr Field kArgs{S::VT_ARGS, "args"};
constexpr Field kNeeds{S::VT_NEEDS, "needs"};
constexpr Field kOnError{S::VT_ON_ERROR, "on_error"};
constexpr Field kRetries{S::VT_RETRIES, "retries"};
constexpr Field kBackoff{S::VT_BACKOFF_MS, "backoff_ms"};
constexpr Field kForEach{S::VT_FOR_EACH, "for_each"};
constexpr Field kForEachMax{S::VT_FOR_EACH_MAX, "for_each_max"};

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
  bool item = false;                        // of a step that goes through items
};

bool is_text_of(const Value* value, const std::vector<std::string>& names) {
  return value != nullptr && value->text() != nullptr && contains(names, *value->text());
}

bool is_reference(const Object& object, const Known& known) {
  const Value whole(object);
  const Value* at = whole.find("at");
  const bool points = at != nullptr && at->text() != nullptr && is_pointer(*at->text());
  const Value* item = whole.find("$item");
  if (item != nullptr && (!known.item || item->boolean() == nullptr || !*item->boolean()))
    return false;
  if (object.size() == 1) return item != nullptr || is_text_of(whole.find("$input"), known.inputs);
  return object.size() == 2 && points &&
         (item != nullptr || is_text_of(whole.find("$step"), known.earlier));
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
    table.invalid(kArgs, "$input of this plan, $step of an earlier step and at, or $item", args);
  }
}

void check_items(const WireTable& table, const std::string& items, const Known& known) {
  const Result<Value> value = parse_value(as_bytes(items), limits::kCapsuleBytesMax);
  if (!value || write_canonical(*value) != items)
    return table.invalid(kForEach, "JSON in canonical form", items);
  const Object* object = value->object();
  const bool listed = value->array() != nullptr || (object != nullptr && has_dollar_key(*object));
  if (!listed || !references_hold(*value, {known.inputs, known.earlier}))
    table.invalid(kForEach, "an array, $input of this plan, or $step of an earlier step", items);
}

// Retries belong to on_error = retry, and a maximum to for_each: neither stands alone.
void decode_repetition(const WireTable& table, const Known& known, Step& out) {
  out.on_error = table.choice(kOnError, OnError::retry);
  if (out.on_error == OnError::retry) {
    out.retries = table.count(kRetries, limits::kRetriesMax);
    out.backoff_ms = table.number(kBackoff, 0, limits::kLeaseTtlMaxMs);
  } else if (table.has(kRetries) || table.has(kBackoff)) {
    table.invalid(kRetries, "absent unless on_error is retry", "present");
  }
  if (table.has(kForEach)) {
    out.for_each = table.text(kForEach, limits::kCapsuleBytesMax);
    check_items(table, out.for_each, known);
    out.for_each_max = table.count(kForEachMax, limits::kForEachMax);
  } else if (table.has(kForEachMax)) {
    table.invalid(kForEachMax, "absent without for_each", "present");
  }
}

Step decode_step(const WireTable& table, const Known& known) {
  Step out;
  table.refuse({{S::VT_APPROVAL, "approval"}});
  out.id = table.text(kId, limits::kNameBytesMax);
  if (contains(known.earlier, out.id)) table.invalid(kId, "each id once", out.id);
  if (out.id.find('[') != out.id.npos) table.invalid(kId, "no '[': items are named by it", out.id);
  out.tool = table.text({S::VT_TOOL, "tool"}, limits::kNameBytesMax);
  out.needs = table.names(kNeeds, limits::kNeedsMax);
  for (const std::string& need : out.needs) {
    if (!contains(known.earlier, need)) table.invalid(kNeeds, "ids of earlier steps", need);
  }
  decode_repetition(table, known, out);
  out.args = table.text(kArgs, limits::kCapsuleBytesMax);
  check_args(table, out.args, {known.inputs, known.earlier, !out.for_each.empty()});
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

ResultRule decode_result(const WireTable& table) {
  using R = wire::ResultRule;
  ResultRule out;
  out.readers = table.hashes({R::VT_READERS, "readers"}, limits::kReadersMax);
  out.retention_ms = table.number({R::VT_RETENTION_MS, "retention_ms"}, 1, limits::kRetentionMaxMs);
  out.reads = table.count({R::VT_READS, "reads"}, limits::kResultReadsMax);
  return out;
}

}  // namespace taper::capsules
