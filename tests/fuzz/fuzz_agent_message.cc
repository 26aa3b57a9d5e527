// links: taper_broker
// Messages of agent.sock and of the sessions inside: whatever passes is byte for byte what we would
// have written.
#include <cstdlib>

#include "runtime/broker/agent_messages.h"
#include "runtime/broker/session_messages.h"
#include "tests/fuzz/planted.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace taper;
  const ByteSpan bytes(data, size);
  const auto envelope = broker::decode_agent_message(bytes);
  if (envelope.ok()) require(broker::encode(*envelope) == to_bytes(bytes));
  const auto body = broker::decode_session_message(bytes);
  require(!(envelope.ok() && body.ok()));
  if (!body.ok()) return 0;
  require(broker::encode(*body) == to_bytes(bytes));
  const auto* request = std::get_if<broker::SessionRequest>(&*body);
  fuzz::planted_bug(request != nullptr && request->ask == broker::Ask::poll &&
                    request->call.bytes[0] >= 0x80);
  return 0;
}
