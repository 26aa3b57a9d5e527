// The forms of W3C Trace Context and of W3C Baggage.
#include <algorithm>
#include <vector>

#include "runtime/base/limits.h"
#include "runtime/broker/session_messages.h"

namespace taper::broker {
namespace {

bool is_lower_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.push_back(trimmed(text.substr(0, end)));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// VERSION-TRACE-SPAN-FLAGS.
bool is_parent(std::string_view text) {
  constexpr std::string_view kForm = "00-00000000000000000000000000000000-0000000000000000-00";
  if (text.size() != kForm.size() || text.starts_with("ff")) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kForm[i] == '-' ? text[i] != '-' : !is_lower_hex(text[i])) return false;
  }
  return text.substr(3, 32).find_first_not_of('0') != text.npos &&
         text.substr(36, 16).find_first_not_of('0') != text.npos;
}

bool is_key_char(char c) {
  return is_lower(c) || is_digit(c) || std::string_view("_-*/@").find(c) != std::string_view::npos;
}
bool is_state_char(char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; }

bool is_state_member(std::string_view member) {
  constexpr std::size_t kPartMax = 256;
  const std::size_t sign = std::min(member.find('='), member.size());
  const std::string_view key = member.substr(0, sign);
  const std::string_view value = member.substr(std::min(sign + 1, member.size()));
  return !key.empty() && key.size() <= kPartMax && (is_lower(key[0]) || is_digit(key[0])) &&
         std::ranges::all_of(key, is_key_char) && !value.empty() && value.size() <= kPartMax &&
         std::ranges::all_of(value, is_state_char);
}

bool is_state(std::string_view text) {
  if (text.size() > limits::kTraceStateBytesMax) return false;
  const auto members = split(text, ',');
  return members.size() <= limits::kTraceStateMembersMax &&
         std::ranges::all_of(
             members, [](std::string_view one) { return one.empty() || is_state_member(one); });
}

// RFC 9110.
bool is_token_char(char c) {
  return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}

bool is_value_char(char c) {
  return c > ' ' && c <= '~' && std::string_view("\",;\\").find(c) == std::string_view::npos;
}

enum class Value : std::uint8_t { needed, optional };

bool is_pair(std::string_view text, Value value) {
  const std::size_t sign = text.find('=');
  if (sign == text.npos) return value == Value::optional && is_token(text);
  return is_token(trimmed(text.substr(0, sign))) &&
         std::ranges::all_of(trimmed(text.substr(sign + 1)), is_value_char);
}

// A pair, and what is said of it behind semicolons.
bool is_baggage_member(std::string_view member) {
  const auto parts = split(member, ';');
  return is_pair(parts.front(), Value::needed) &&
         std::all_of(parts.begin() + 1, parts.end(),
                     [](std::string_view one) { return is_pair(one, Value::optional); });
}

bool is_baggage(std::string_view text) {
  if (text.size() > limits::kBaggageBytesMax) return false;
  const auto members = split(text, ',');
  return members.size() <= limits::kBaggageMembersMax &&
         std::ranges::all_of(members, is_baggage_member);
}

}  // namespace

TraceContext fit(TraceContext given) {
  if (!is_parent(given.parent)) given.parent.clear();
  if (given.parent.empty() || !is_state(given.state)) given.state.clear();
  if (!is_baggage(given.baggage)) given.baggage.clear();
  return given;
}

std::string trace_id(const TraceContext& context) {
  return context.parent.empty() ? "" : context.parent.substr(3, 32);
}

}  // namespace taper::broker
