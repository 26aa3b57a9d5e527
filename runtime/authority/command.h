// A call's parsed arguments in the form its tool takes them.
#pragma once

#include <string>
#include <vector>

#include "capsules/value.h"
#include "runtime/authority/permit.h"
#include "runtime/authority/tool.h"
#include "runtime/base/result.h"

namespace taper::authority {

// One argument as the word that a tool is given: texts as they are, everything else in canonical
// JSON.
std::string word_text(const capsules::Value& value);

// The words of a command: the template with each argument as one whole word. A word or group whose
// argument is absent is dropped. Integers in decimal, booleans as true or false, JSON inputs in
// canonical form. Errors: option_like (a value that begins with '-' where no "--" stands before it
// and the word is not an option's value), tool_input (NUL inside, or beyond limits::kArgvWordsMax
// and kArgvBytesMax).
Result<std::vector<std::string>> render_argv(const Tool& tool, const capsules::Object& arguments);

// The inputs of a builtin; JSON inputs in canonical form. `arguments` passed check_arguments.
std::vector<InputValue> builtin_inputs(const capsules::Object& arguments);

// What the cell of an upstream is asked for one call; the arguments as one canonical JSON object,
// `meta` as of CallRequest.
std::vector<InputValue> upstream_inputs(const Tool& tool, const capsules::Object& arguments,
                                        std::int64_t timeout_ms, const std::string& meta);

}  // namespace taper::authority
