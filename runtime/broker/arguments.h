// Filling a plan's step: literal arguments with references replaced by whole values, and the items
// that a step goes through. Pure. What it gives is not trusted: authorise parses and checks it like
// any arguments.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/authority/authority.h"

namespace taper::broker {

// What references lead to.
struct Sources {
  const std::map<std::string, std::string>& inputs;  // outlive the sources
  // The result of an earlier step, JSON; empty when it has none. Its errors are passed on.
  std::function<Result<std::optional<std::string>>(std::string_view step)> result_of;
  const capsules::Value* item = nullptr;  // the one gone through; null pointer: none
};

// Canonical argument bytes of a step. Error step_reference: no such step, no result, nothing at the
// pointer, no item, references that bring more than limits::kArgumentBytesMax; input_missing.
Result<Bytes> fill_arguments(std::string_view step_args, const Sources& sources);

// The items of a step that has for_each. An input is read as JSON. Errors: for_each_ended where it
// leads to no list or to a longer one than the step's maximum; those of fill_arguments, with
// limits::kResultBytesMax.
Result<std::vector<capsules::Value>> items_of(const capsules::Step& step, const Sources& sources);

// "name[3]": what a call for one item is known by, in the journal and in the log.
std::string item_name(const std::string& step, std::size_t item);

}  // namespace taper::broker
