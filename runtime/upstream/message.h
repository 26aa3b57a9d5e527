// One line that a server wrote, as a message of JSON-RPC 2.0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taper::upstream {

struct Message {
  enum class Kind : std::uint8_t { result, error, request, notification };
  Kind kind = Kind::notification;
  std::string_view id;    // exact source of a request's, or of an answer's; null where it has none
  std::string method;     // of requests and notifications
  std::string_view body;  // result, or params; empty: absent
  std::int64_t code = 0;  // of an error
  std::string text;       // an error's message
};

// The messages of a line that passed is_strict_json: one, or those of a batch, which only the
// revision 2025-03-26 knows. Views into the line. Empty: it is no message, or not of JSON-RPC.
enum class Batches : std::uint8_t { refused, taken };
std::optional<std::vector<Message>> read_messages(std::string_view line, Batches batches);

}  // namespace taper::upstream
