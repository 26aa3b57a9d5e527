// links: taper_sandbox
// What a cell says to spawnd, and what spawnd says to a cell.
#include <cstddef>
#include <cstdint>

#include "runtime/base/assert.h"
#include "runtime/sandbox/builtin/message.h"
#include "tests/fuzz/planted.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace taper;
  const ByteSpan bytes(data, size);
  const Result<sandbox::BuiltinReply> reply = sandbox::decode_reply(bytes);
  if (reply.ok() && reply.value().error.code() == Code::ok) {
    TAPER_ASSERT(sandbox::encode_reply(reply.value()) == to_bytes(bytes));  // one form only
    // The corpus has this list with "truncated" false.
    const sandbox::Row& fields = reply.value().result.fields;
    fuzz::planted_bug(reply.value().result.rows.size() == 3 && fields.size() == 1 &&
                      fields.front().value == sandbox::FieldValue(true));
  }
  // A server's cell may answer with more codes, and with all that a builtin's may.
  const auto servers = sandbox::decode_reply(bytes, authority::ToolKind::upstream);
  TAPER_ASSERT(servers.ok() || !reply.ok());
  const auto progress = sandbox::decode_progress(bytes);
  TAPER_ASSERT(!progress || (sandbox::is_progress(bytes) && !servers.ok()));
  if (progress) TAPER_ASSERT(sandbox::encode_progress(*progress) == to_bytes(bytes));
  const Result<sandbox::BuiltinRequest> request = sandbox::decode_request(bytes);
  if (request.ok()) {
    authority::PermitFacts facts;
    facts.tool = request.value().tool;
    facts.writes = request.value().writes;
    facts.inputs = request.value().inputs;
    TAPER_ASSERT(sandbox::encode_request(facts) == to_bytes(bytes));
  }
  return 0;
}
