// Constraints written as JSON, as the files of tests/vectors have them: the source language, with
// [least, most] for length and count. A test's own reader; asserts that they are well formed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "capsules/constraints.h"

namespace taper::testing {

capsules::Value json_value(const std::string& text);
// "name?" is the name and true.
std::pair<std::string, bool> optional_name(std::string name);
std::vector<capsules::Constraint> constraints_of(const capsules::Value& table);
std::vector<capsules::ArgRule> rules_of(const capsules::Value& grant);

}  // namespace taper::testing
