#include "tests/unit/sandbox/bpf_evaluate.h"

#include <cstring>

namespace taper::testing {

std::uint32_t evaluate(std::span<const sock_filter> program, const seccomp_data& call) {
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < program.size();) {
    const sock_filter& step = program[at++];
    const auto branch = [&](bool taken) { at += taken ? step.jt : step.jf; };
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (step.k % 4 != 0 || step.k + 4 > sizeof call) return kBrokenProgram;
        std::memcpy(&a, reinterpret_cast<const char*>(&call) + step.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K: a &= step.k; break;
      case BPF_JMP | BPF_JA: at += step.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: branch(a == step.k); break;
      case BPF_JMP | BPF_JGE | BPF_K: branch(a >= step.k); break;
      case BPF_JMP | BPF_JSET | BPF_K: branch((a & step.k) != 0); break;
      case BPF_RET | BPF_K: return step.k;
      default: return kBrokenProgram;
    }
  }
  return kBrokenProgram;
}

}  // namespace taper::testing
