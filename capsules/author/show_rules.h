// Values and rules as JSON for programs. Private to this folder.
#pragma once

#include <boost/json.hpp>
#include <string_view>
#include <vector>

#include "capsules/capsule.h"

namespace taper::capsules {

// JSON text must be UTF-8 whatever the capsule holds.
boost::json::string text_json(std::string_view text);
boost::json::array texts_json(const std::vector<std::string>& texts);
boost::json::value value_json(const Value& value);
boost::json::array rules_json(const std::vector<ArgRule>& rules);

}  // namespace taper::capsules
