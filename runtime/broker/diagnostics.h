// Warnings for the operator on stderr; what an auditor needs stands in the log instead.
#pragma once

#include <string_view>

namespace taper::broker {

void warn(std::string_view text);  // one line; foreign text is escaped by the caller

}  // namespace taper::broker
