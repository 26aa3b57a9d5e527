#include "runtime/sandbox/builtin/worker.h"

#include <errno.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <ctime>
#include <utility>

#include "runtime/base/limits.h"
#include "runtime/sandbox/builtin/builtins.h"

namespace taper::sandbox {
namespace {

constexpr int kCleanEnd = 0;
constexpr int kStreamBroken = 1;
constexpr int kFramingBroken = 2;

enum class Got : std::uint8_t { all, end, broken };

// `end` only when the stream ended before the first byte.
Got read_exactly(int socket, std::uint8_t* into, std::size_t size) {
  std::size_t have = 0;
  while (have < size) {
    const ssize_t count = ::read(socket, into + have, size - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Got::broken;
    if (count == 0) return have == 0 ? Got::end : Got::broken;
    have += static_cast<std::size_t>(count);
  }
  return Got::all;
}

BuiltinReply answer_request(const GrantedTrees& trees, const BuiltinRequest& request) {
  const std::clock_t before = std::clock();  // of this process
  Result<BuiltinResult> result = run_builtin(trees, request);
  BuiltinReply reply;
  if (result.ok()) {
    reply.result = std::move(result).value();
  } else {
    reply.error = result.error();
  }
  reply.cpu_ms = static_cast<std::uint64_t>(std::clock() - before) / (CLOCKS_PER_SEC / 1000) + 1;
  return reply;
}

}  // namespace

int serve_builtins(int socket, const std::vector<authority::GrantedTree>& trees) {
  const GrantedTrees granted(trees);
  for (;;) {
    std::array<std::uint8_t, sizeof(std::uint32_t)> head{};
    const Got got = read_exactly(socket, head.data(), head.size());
    if (got != Got::all) return got == Got::end ? kCleanEnd : kStreamBroken;
    const std::size_t size = ByteReader(head).u32();
    if (size > limits::kBuiltinRequestBytesMax) return kFramingBroken;
    Bytes bytes(size);
    if (size > 0 && read_exactly(socket, bytes.data(), size) != Got::all) return kStreamBroken;
    const Result<BuiltinRequest> request = decode_request(bytes);
    if (!request.ok()) return kFramingBroken;
    const Bytes reply = frame(encode_reply(answer_request(granted, request.value())));
    if (!write_all(socket, "socket", reply).ok()) return kStreamBroken;
  }
}

}  // namespace taper::sandbox
