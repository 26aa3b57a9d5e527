#include "runtime/sandbox/builtin/worker.h"

#include <ctime>
#include <utility>

#include "runtime/base/limits.h"
#include "runtime/sandbox/builtin/builtins.h"

namespace taper::sandbox {
namespace {

constexpr int kCleanEnd = 0;
constexpr int kStreamBroken = 1;
constexpr int kFramingBroken = 2;

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
    const ReadFrame read = read_request(socket);
    if (read.got == ReadFrame::Got::end) return kCleanEnd;
    if (read.got == ReadFrame::Got::broken) return kStreamBroken;
    if (read.got == ReadFrame::Got::too_long) return kFramingBroken;
    const Result<BuiltinRequest> request = decode_request(read.bytes);
    if (!request.ok()) return kFramingBroken;
    const Bytes reply = frame(encode_reply(answer_request(granted, request.value())));
    if (!write_all(socket, "socket", reply).ok()) return kStreamBroken;
  }
}

}  // namespace taper::sandbox
