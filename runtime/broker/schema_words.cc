#include "runtime/broker/schema_words.h"

#include <limits>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::broker {
namespace {

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (out.size() > limits::kSchemaWordsBytesMax) break;
    out += (out.empty() ? "" : ", ") + word;
  }
  return shown_text(out);
}

}  // namespace

std::string shown_text(std::string_view text) {
  constexpr std::uint8_t kRest = 0x80;  // of a character in UTF-8, with the mask below
  constexpr std::uint8_t kMask = 0xC0;
  if (text.size() <= limits::kSchemaWordsBytesMax) return escape_text(text);
  std::size_t end = limits::kSchemaWordsBytesMax;
  while (end > 0 && (static_cast<std::uint8_t>(text[end]) & kMask) == kRest) --end;
  return escape_text(text.substr(0, end)) + "…";
}

std::string words_of(const capsules::Length& length) {
  const std::string least = std::to_string(length.least);
  if (length.most == std::numeric_limits<std::int64_t>::max())
    return "At least " + least + " bytes of UTF-8.";
  return least + " to " + std::to_string(length.most) + " bytes of UTF-8.";
}

std::string words_of(const capsules::Glob& glob) {
  return "As the glob " + shown_text(glob.pattern) + " says: * and ? take no /.";
}

std::string words_of(const capsules::Under& under) {
  if (under.tree == "/") return words_of_plain_paths();
  return "The path " + shown_text(under.tree) + " or one below it.";
}

std::string words_of(const capsules::Url& url) {
  std::vector<std::string> ports;
  for (const std::uint16_t port : url.ports) ports.push_back(std::to_string(port));
  return "A URL with scheme " + listed(url.schemes) + "; host " + listed(url.hosts) + "; " +
         (ports.empty() ? "the scheme's usual port" : "port " + listed(ports)) +
         (url.under == "/" ? "." : "; path " + shown_text(url.under) + " or below.");
}

std::string words_of(const capsules::Cidr& cidr) {
  return "An IP address in " + listed(cidr.blocks) + ".";
}

std::string words_of(const capsules::TimeOfDay& time) {
  const std::string said = capsules::describe_constraint(time);
  return "Only from " + said.substr(said.find(' ') + 1) + ".";
}

std::string words_of_others(const capsules::Array& excluded) {
  return "None of " + shown_text(capsules::write_canonical(excluded)) + ".";
}

std::string words_of_plain_paths() {
  return "An absolute path, without empty, '.' or '..' parts or a slash at its end.";
}

}  // namespace taper::broker
