#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

constexpr std::size_t kColumns = 64;
constexpr std::size_t kChecksumBytes = 6;
constexpr std::string_view kBlank = " \t\r\n";

std::string marker(std::string_view word, std::string_view label) {
  return "-----" + std::string(word) + " TAPER " + std::string(label) + "-----";
}

// Catches damage by hand and mail; it is no protection against anybody.
std::string checksum(std::string_view label, ByteSpan bytes) {
  const Hash hash = crypto::hash({as_bytes(label), bytes});
  return "=" + to_base64(hash.span().first(kChecksumBytes));
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = trimmed(rest.substr(0, end));
  rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

Error damaged(std::string field, std::string expected) {
  return Error(Code::armour_malformed, {std::move(field), std::move(expected), "", ""});
}

}  // namespace

std::string armour(std::string_view label, ByteSpan bytes) {
  const std::string text = to_base64(bytes);
  std::string out = marker("BEGIN", label) + "\n";
  for (std::size_t i = 0; i < text.size(); i += kColumns) out += text.substr(i, kColumns) + "\n";
  return out + checksum(label, bytes) + "\n" + marker("END", label) + "\n";
}

Result<Bytes> unarmour(std::string_view label, std::string_view text) {
  if (text.size() > limits::kArmourBytesMax) {
    return Error(Code::too_large,
                 {"text form", "at most " + std::to_string(limits::kArmourBytesMax) + " bytes",
                  std::to_string(text.size()) + " bytes", ""});
  }
  std::string_view rest = trimmed(text);
  if (next_line(rest) != marker("BEGIN", label)) {
    return damaged("first line", marker("BEGIN", label));
  }
  std::string digits;
  std::string sum;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    if (line.starts_with('=')) {
      sum = line;
      break;
    }
    digits += line;
  }
  if (next_line(rest) != marker("END", label) || !rest.empty()) {
    return damaged("last line", marker("END", label));
  }
  const std::optional<Bytes> bytes = from_base64(digits);
  if (!bytes) return damaged("text", "base64");
  if (sum != checksum(label, *bytes)) return damaged("checksum", checksum(label, *bytes));
  return *bytes;
}

}  // namespace taper::capsules
