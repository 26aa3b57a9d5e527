// links: taper_broker
// Messages of control.sock: whatever passes is byte for byte what we would have written.
#include <cstdlib>

#include "runtime/broker/messages.h"
#include "tests/fuzz/planted.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const taper::ByteSpan message(data, size);
  const auto request = taper::broker::decode_request(message);
  if (request.ok()) {
    require(taper::broker::encode(*request) == taper::to_bytes(message));
    taper::fuzz::planted_bug(request->task.bytes[0] >= 0x80);
  }
  const auto answer = taper::broker::decode_answer(message);
  if (answer.ok()) require(taper::broker::encode(*answer) == taper::to_bytes(message));
  require(!(request.ok() && answer.ok()));
  return 0;
}
