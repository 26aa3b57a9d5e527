// What a call that waits has asked, as its cell told it or its file holds it, and what answers it.
#include <string>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/broker/question.h"
#include "tests/fuzz/planted.h"

namespace {

using namespace taper;
using namespace taper::broker;

constexpr const char* kAsked =
    R"({"inputRequests":{"a":{"method":"elicitation/create","params":{}}},"requestState":"s"})";

void told(const std::string& text) {
  Masker masker;
  const auto question = make_question(text, 2, {}, authority::Input::urls, masker);
  if (!question.ok()) return;
  fuzz::planted_bug(question->state.has_value());
  TAPER_ASSERT(question->requests.object()->size() <= limits::kInputRequestsMax);
  for (const auto& [key, request] : *question->requests.object())
    TAPER_ASSERT(key.starts_with("2/"));
  const Bytes kept = encode_question(*question);
  const auto again = decode_question(kept);
  TAPER_ASSERT(again.ok() && encode_question(*again) == kept);
}

void kept(ByteSpan bytes) {
  const auto question = decode_question(bytes);
  if (!question.ok()) return;
  TAPER_ASSERT(decode_question(encode_question(*question)).ok());
  (void)answers_to(*question, as_bytes("{}")).ok();
}

void answered(ByteSpan bytes) {
  Masker masker;
  const auto question = make_question(kAsked, 1, {}, authority::Input::urls, masker);
  const auto answers = answers_to(*question, bytes);
  if (!answers.ok()) {
    TAPER_ASSERT(answers.error().detail().field.starts_with("inputResponses"));
    return;
  }
  TAPER_ASSERT(answers->starts_with(R"({"a":{)"));
  TAPER_ASSERT(answers->size() <= 6 * limits::kInputBytesMax + 64);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan rest(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0: told(std::string(as_text(rest))); break;
    case 1: kept(rest); break;
    default: answered(rest);
  }
  return 0;
}
