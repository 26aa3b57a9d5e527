#include "capsules/url.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "capsules/address.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

constexpr std::size_t kLabelBytesMax = 63;
constexpr std::size_t kHostBytesMax = 253;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_unreserved(char c) {
  return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') ||
         std::string_view("-._~").find(c) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// RFC 3986 pchar, '/' and, in a query, '?'. What stands behind each '%' goes to `decoded`.
bool read_characters(std::string_view text, std::string_view more, std::string& decoded,
                     std::string& hidden) {
  constexpr std::size_t kEscape = 3;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      const bool good = is_unreserved(text[i]) || more.find(text[i]) != more.npos ||
                        std::string_view("!$&'()*+,;=:@/").find(text[i]) != std::string_view::npos;
      if (!good) return false;
      decoded += text[i];
      continue;
    }
    const auto byte = from_hex(text.substr(i + 1, kEscape - 1));
    if (!byte || byte->size() != 1) return false;
    decoded += static_cast<char>(byte->front());
    hidden += decoded.back();
    i += kEscape - 1;
  }
  return true;
}

// A byte that a path may not hide behind '%': what might part, end or climb when it is decoded once
// or twice, and what needs no hiding.
bool may_hide(char c) {
  const bool control = (c >= 0 && c < ' ') || c == '\x7f';
  return !control && !is_unreserved(c) &&
         std::string_view("/\\%;?#").find(c) == std::string_view::npos;
}

bool is_name(std::string_view text) {
  if (text.size() > kHostBytesMax) return false;
  std::string_view label;
  while (true) {
    label = text.substr(0, text.find('.'));
    const bool good =
        !label.empty() && label.size() <= kLabelBytesMax && label.front() != '-' &&
        label.back() != '-' &&
        std::ranges::all_of(label, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
    if (!good) return false;
    if (label.size() == text.size()) break;
    text.remove_prefix(label.size() + 1);
  }
  return is_lower(label.front());  // else a number to some: 127.1, 0x7f000001
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  if (read.ec != std::errc{} || read.ptr != end || text.front() == '0') return std::nullopt;
  return port;
}

}  // namespace

bool is_url_scheme(std::string_view text) {
  return !text.empty() && is_lower(text.front()) && std::ranges::all_of(text, [](char c) {
    return is_lower(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
}

bool is_url_host(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) {
    const auto address = parse_address(text.substr(1, text.size() - 2));
    return address && address->size == sizeof(Address::bytes);
  }
  const auto address = parse_address(text);
  return is_name(text) || (address && address->size != sizeof(Address::bytes));
}

bool is_url_path(std::string_view text) {
  std::string decoded;
  std::string hidden;
  if (!text.starts_with('/') || !read_characters(text, "", decoded, hidden)) return false;
  if (!std::ranges::all_of(hidden, may_hide) || !is_utf8(decoded)) return false;
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::string_view segment = text.substr(0, text.find('/'));
    text.remove_prefix(segment.size());
    // Some servers cut a segment at ';' and then climb.
    const std::string_view name = segment.substr(0, segment.find(';'));
    if (name == "." || name == ".." || (name.empty() && !(segment.empty() && text.empty()))) {
      return false;
    }
  }
  return true;
}

std::optional<std::uint16_t> default_port(std::string_view scheme) {
  constexpr std::pair<std::string_view, std::uint16_t> kPorts[] = {
      {"ftp", 21}, {"http", 80}, {"https", 443}, {"ws", 80}, {"wss", 443}};
  for (const auto& [name, port] : kPorts) {
    if (name == scheme) return port;
  }
  return std::nullopt;
}

std::optional<UrlParts> parse_url(std::string_view text) {
  UrlParts out;
  const std::size_t colon = text.find(':');
  if (colon == text.npos || text.substr(colon, 3) != "://") return std::nullopt;
  out.scheme = lower(text.substr(0, colon));
  text.remove_prefix(colon + 3);
  std::string_view host = text.substr(0, text.find('/'));
  text.remove_prefix(host.size());
  const std::size_t host_end = host.starts_with('[') ? host.find(']') : 0;
  const std::size_t port_at = host.find(':', std::min(host_end, host.size()));
  out.port = default_port(out.scheme);
  if (port_at != host.npos) {
    out.port = parse_port(host.substr(port_at + 1));
    if (!out.port) return std::nullopt;
  }
  out.host = lower(host.substr(0, port_at));
  const std::size_t query = text.find('?');
  out.path = text.empty() ? "/" : text.substr(0, query);
  std::string decoded;
  const bool good =
      is_url_scheme(out.scheme) && is_url_host(out.host) && is_url_path(out.path) &&
      (query == text.npos || read_characters(text.substr(query), "?", decoded, decoded));
  return good ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace taper::capsules
