#include "runtime/broker/arguments.h"

#include <algorithm>

#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

using capsules::Array;
using capsules::Object;
using capsules::Value;

Error bad_reference(std::string field, std::string expected, std::string got) {
  return Error(Code::step_reference, {std::move(field), std::move(expected), std::move(got), ""});
}

Error bad_items(const std::string& step, std::string expected, std::string got) {
  return Error(Code::for_each_ended, {step, std::move(expected), std::move(got), ""});
}

bool is_reference(const Object& object) {
  return std::ranges::any_of(object,
                             [](const auto& member) { return member.first.starts_with('$'); });
}

// Fills one value. Each result is read once, and what references bring is counted as it is copied:
// many of them may lead to one large result.
class Filler {
 public:
  Filler(const Sources& sources, std::size_t bytes_max)
      : sources_(sources), bytes_max_(bytes_max), bytes_left_(bytes_max) {}

  // The depth is bounded by the parser that made `value`.
  Result<Value> fill(Value value) {
    if (Object* object = value.object(); object != nullptr) {
      if (is_reference(*object)) return resolve(*object);
      for (auto& member : *object) {
        TAPER_TRY(member.second, fill(std::move(member.second)));
      }
    } else if (Array* array = value.array(); array != nullptr) {
      for (Value& item : *array) {
        TAPER_TRY(item, fill(std::move(item)));
      }
    }
    return value;
  }

 private:
  // A reference is an object with exactly the keys of one; its neighbours could only be mistakes.
  Result<Value> resolve(const Object& reference) {
    const Value whole(reference);
    const Value* input = whole.find("$input");
    const Value* step = whole.find("$step");
    const Value* item = whole.find("$item");
    const Value* at = whole.find("at");
    const bool alone = reference.size() == 1;
    const bool points = reference.size() == 2 && at != nullptr && at->text() != nullptr;
    if (input != nullptr && alone && input->text() != nullptr) return of_input(*input->text());
    if (step != nullptr && step->text() != nullptr && points)
      return of_step(*step->text(), *at->text());
    if (item != nullptr && sources_.item != nullptr && (alone || points))
      return part_of(*sources_.item, "$item", points ? *at->text() : "");
    return bad_reference(reference.front().first, "$input, $step and at, or $item of for_each",
                         "something else");
  }

  Result<Value> of_input(const std::string& name) {
    const auto found = sources_.inputs.find(name);
    if (found == sources_.inputs.end())
      return Error(Code::input_missing, {name, "a value", "none", ""});
    return part_of(Value(found->second), name, "");
  }

  Result<Value> of_step(const std::string& step, const std::string& pointer) {
    const std::string name = "$step " + step;
    auto found = results_.find(step);
    if (found == results_.end()) {
      TAPER_TRY(const std::optional<std::string> result, sources_.result_of(step));
      if (!result) return bad_reference(name, "a step with a result", "none");
      Result<Value> whole = capsules::parse_value(as_bytes(*result), limits::kResultBytesMax);
      if (!whole) return bad_reference(name, "a JSON result", whole.error().detail().got);
      found = results_.emplace(step, std::move(*whole)).first;
    }
    return part_of(found->second, name, pointer);
  }

  Result<Value> part_of(const Value& whole, const std::string& name, const std::string& pointer) {
    const Value* part = whole.at_pointer(pointer);
    if (part == nullptr) return bad_reference(name, "a value at " + pointer, "nothing");
    const std::size_t bytes = capsules::write_canonical(*part).size();
    if (bytes > bytes_left_)
      return bad_reference(name, "at most " + std::to_string(bytes_max_) + " bytes of references",
                           "more");
    bytes_left_ -= bytes;
    return Value(*part);
  }

  const Sources& sources_;
  std::size_t bytes_max_, bytes_left_;
  std::map<std::string, Value> results_;  // by step
};

// Inputs are texts; one that is gone through is a list in JSON.
Result<Value> listed(Value value, const std::string& step) {
  if (value.text() == nullptr) return value;
  Result<Value> list = capsules::parse_value(as_bytes(*value.text()), limits::kTextBytesMax);
  if (!list) return bad_items(step, "an input that is a JSON array", list.error().detail().got);
  return list;
}

}  // namespace

Result<Bytes> fill_arguments(std::string_view step_args, const Sources& sources) {
  TAPER_TRY(Object arguments, capsules::parse_arguments(as_bytes(step_args)));
  TAPER_TRY(const Value filled,
            Filler(sources, limits::kArgumentBytesMax).fill(Value(std::move(arguments))));
  return to_bytes(as_bytes(capsules::write_canonical(filled)));
}

Result<std::vector<Value>> items_of(const capsules::Step& step, const Sources& sources) {
  TAPER_TRY(Value literal,
            capsules::parse_value(as_bytes(step.for_each), limits::kCapsuleBytesMax));
  const bool input = literal.find("$input") != nullptr;
  TAPER_TRY(Value filled, Filler(sources, limits::kResultBytesMax).fill(std::move(literal)));
  if (input) {
    TAPER_TRY(filled, listed(std::move(filled), step.id));
  }
  Array* items = filled.array();
  if (items == nullptr) return bad_items(step.id, "an array", "another value");
  if (items->size() > step.for_each_max)
    return bad_items(step.id, "at most " + std::to_string(step.for_each_max) + " items",
                     std::to_string(items->size()));
  return std::move(*items);
}

std::string item_name(const std::string& step, std::size_t item) {
  return step + "[" + std::to_string(item) + "]";
}

}  // namespace taper::broker
