#include "runtime/authority/plan.h"

#include "capsules/value.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::authority {
namespace {

using capsules::Array;
using capsules::Object;
using capsules::Value;

struct Sources {
  const std::map<std::string, std::string>& inputs;
  const StepResult& result_of;
};

Error bad_reference(std::string field, std::string expected, std::string got) {
  return Error(Code::step_reference, {std::move(field), std::move(expected), std::move(got), ""});
}

Result<Value> resolve_step(const std::string& step, const std::string& pointer,
                           const Sources& sources) {
  const std::optional<std::string> result = sources.result_of(step);
  if (!result) return bad_reference("$step " + step, "a step with a result", "none");
  Result<Value> whole = capsules::parse_value(as_bytes(*result), limits::kResultBytesMax);
  if (!whole) return bad_reference("$step " + step, "a JSON result", whole.error().detail().got);
  const Value* part = whole->at_pointer(pointer);
  if (part == nullptr) return bad_reference("$step " + step, "a value at " + pointer, "nothing");
  return Value(*part);
}

// A reference is an object with exactly the keys of one; its neighbours could only be mistakes.
Result<Value> resolve(const Object& reference, const Sources& sources) {
  const Value whole(reference);
  const Value* input = whole.find("$input");
  const Value* step = whole.find("$step");
  const Value* at = whole.find("at");
  if (input != nullptr && reference.size() == 1 && input->text() != nullptr) {
    const auto found = sources.inputs.find(*input->text());
    if (found == sources.inputs.end())
      return Error(Code::input_missing, {*input->text(), "a value", "none", ""});
    return Value(found->second);
  }
  const bool has_pointer = at != nullptr && at->text() != nullptr;
  if (step != nullptr && step->text() != nullptr && has_pointer && reference.size() == 2)
    return resolve_step(*step->text(), *at->text(), sources);
  return bad_reference(reference.front().first, "exactly $input, or $step and at", "other keys");
}

bool is_reference(const Object& object) {
  for (const auto& [key, value] : object) {
    if (key.starts_with('$')) return true;
  }
  return false;
}

// The depth is bounded by the parser that made `value`.
Result<Value> fill(Value value, const Sources& sources) {
  if (Object* object = value.object(); object != nullptr) {
    if (is_reference(*object)) return resolve(*object, sources);
    for (auto& member : *object) {
      TAPER_TRY(member.second, fill(std::move(member.second), sources));
    }
  } else if (Array* array = value.array(); array != nullptr) {
    for (Value& item : *array) {
      TAPER_TRY(item, fill(std::move(item), sources));
    }
  }
  return value;
}

}  // namespace

Result<Bytes> fill_arguments(std::string_view step_args,
                             const std::map<std::string, std::string>& inputs,
                             const StepResult& result_of) {
  TAPER_TRY(Object arguments, capsules::parse_arguments(as_bytes(step_args)));
  TAPER_TRY(const Value filled, fill(Value(std::move(arguments)), Sources{inputs, result_of}));
  return to_bytes(as_bytes(capsules::write_canonical(filled)));
}

Result<std::string> canonical_json(std::string_view text) {
  const Result<Value> value = capsules::parse_value(as_bytes(text), limits::kResultBytesMax);
  if (!value) return Error(Code::tool_output_malformed, value.error().detail());
  return capsules::write_canonical(*value);
}

Hash result_hash(std::string_view result) { return crypto::hash(as_bytes(result)); }

}  // namespace taper::authority
