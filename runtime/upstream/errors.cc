#include "runtime/upstream/errors.h"

#include <algorithm>
#include <string>

#include "runtime/base/limits.h"

namespace taper::upstream {

std::string one_line(std::string_view text, std::size_t max) {
  if (text.size() > max) {
    const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; };
    while (max > 0 && !begins(text[max])) --max;
    text = text.substr(0, max);
  }
  std::string line(text);
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

Error broken(std::string_view where, std::string_view got) {
  return Error(Code::upstream_broken, {.field = std::string(where),
                                       .expected = "",
                                       .got = one_line(got, limits::kUpstreamTextShownBytes),
                                       .fix = ""});
}

Error drifted(std::string_view what, std::string_view expected, std::string_view got) {
  return Error(Code::upstream_drift, {.field = std::string(what),
                                      .expected = one_line(expected, limits::kSchemaWordsBytesMax),
                                      .got = one_line(got, limits::kSchemaWordsBytesMax),
                                      .fix = ""});
}

}  // namespace taper::upstream
