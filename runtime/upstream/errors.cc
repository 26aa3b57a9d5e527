#include "runtime/upstream/errors.h"

#include <algorithm>
#include <string>

#include "runtime/base/limits.h"
#include "runtime/sandbox/builtin/message.h"

namespace taper::upstream {

std::string cut_text(std::string_view text, std::size_t max) {
  if (text.size() <= max) return std::string(text);
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; };
  std::size_t size = max - sandbox::kCutMark.size();
  while (size > 0 && !begins(text[size])) --size;
  return std::string(text.substr(0, size)).append(sandbox::kCutMark);
}

std::string one_line(std::string_view text, std::size_t max) {
  std::string line = cut_text(text, max);
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
