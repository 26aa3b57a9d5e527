// Assertions are for our own bugs, never for input. They stay on in every build and abort: a
// restart is a tested path, an undefined state is not.
#pragma once

namespace taper {

[[noreturn]] void assertion_failed(const char* what, const char* file, int line) noexcept;

}  // namespace taper

#define TAPER_ASSERT(condition)                        \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::taper::assertion_failed(#condition, __FILE__, __LINE__))
