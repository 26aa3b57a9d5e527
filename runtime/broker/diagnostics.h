// Warnings for the operator on stderr; what an auditor needs stands in the log instead.
#pragma once

#include <string_view>

namespace taper::broker {

// One line; foreign text is escaped by the caller. Never waits: left out where stderr has no room.
void warn(std::string_view text);

}  // namespace taper::broker
