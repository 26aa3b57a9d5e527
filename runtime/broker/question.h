// What a call that waits has asked for: as its cell told it, as it is kept beside the results, as
// it is shown, and as it is answered. docs/formats/results.md
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/broker/masker.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

struct Question {
  std::uint64_t round = 1;  // of one call: its first, its second …
  Bytes arguments;          // of the call, as they came
  // An object: each request under a key of its own in this call's life, "ROUND/" and the server's.
  capsules::Value requests;
  std::optional<std::string> state;  // what the server wants back; told to nobody else
};

// What the helper told of it; null where the server asked nothing.
const std::string* asked_in(const sandbox::RunReport& report);
// Made by the helper, but beside a server that may have had its hand in it. What is shown of it is
// masked. Errors: tool_output_malformed; upstream_broken, where the state holds a secret.
Result<Question> make_question(const std::string& asked, std::uint64_t round, Bytes arguments,
                               authority::Input offered, Masker& masker);

Bytes encode_question(const Question& question);
Result<Question> decode_question(ByteSpan bytes);  // error: store_corrupt

// The answers as the server is told them, under its own keys, a JSON object. Others than were asked
// for are left out. Error: input_malformed with the field, where one is missing or not of the form
// of an answer.
Result<std::string> answers_to(const Question& question, ByteSpan responses);

}  // namespace taper::broker
