// Runs a seccomp program against one system call in user space, so that a filter is tested for
// every number without a kernel.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <span>

namespace taper::testing {

constexpr std::uint32_t kBrokenProgram = 0xffff'ffff;

// The program's answer; kBrokenProgram where it runs off its end or uses what filters here do not.
std::uint32_t evaluate(std::span<const sock_filter> program, const seccomp_data& call);

}  // namespace taper::testing
