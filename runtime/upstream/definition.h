// What a server tells of one of its tools, and whether that is what was pinned.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace taper::upstream {

struct Definition {
  std::string name;
  // One object of name, title, description, inputSchema, outputSchema and annotations, each as it
  // stood, without those that are absent or null. All else that the server says is left out.
  std::string text;
  std::string unfit;  // why it cannot be pinned; empty: it can
};

// `value` passed is_strict_json. Error: upstream_broken "message", where a member is missing or of
// another type than the protocol's.
Result<Definition> read_definition(std::string_view value);

// One page of tools/list, appended. `*next` is the cursor of the next page as source, or empty.
// Error: upstream_broken "message", also where a name stands twice or there are too many.
Status read_page(std::string_view result, std::vector<Definition>& tools, std::string* next);

// Compares as JSON values, member by member. `pinned` is an object in the form of
// Definition::text. Errors: upstream_drift with the first member that differs, tool_input where
// `pinned` is no definition.
Status same_definition(const Definition& offered, std::string_view pinned);

}  // namespace taper::upstream
