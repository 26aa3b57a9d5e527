// URLs read more strictly than any client reads them, so that client and constraint cannot disagree
// about the host or the path. The grammar: docs/formats/capsule.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace taper::capsules {

struct UrlParts {
  std::string scheme, host;           // lower case
  std::optional<std::uint16_t> port;  // the one written, else the scheme's own where it has one
  std::string_view path;              // as written; "/" when empty
};

// `scheme://host[:port][/path[?query]]`, in ASCII.
std::optional<UrlParts> parse_url(std::string_view text);

// As they must stand in a capsule: lower case, in the one spelling.
bool is_url_scheme(std::string_view text);
bool is_url_host(std::string_view text);  // a name, dotted decimal, or [IPv6]
// Empty segments only at the end; no '.' or '..' segment, however spelled.
bool is_url_path(std::string_view text);
std::optional<std::uint16_t> default_port(std::string_view scheme);

}  // namespace taper::capsules
