#include "runtime/base/result.h"

#include "runtime/base/text.h"

namespace taper {

const ErrorDetail& Error::detail() const {
  static const ErrorDetail kNone;
  return detail_ ? *detail_ : kNone;
}

std::string to_line(const Error& error) {
  const CodeInfo& info = describe(error.code());
  const ErrorDetail& detail = error.detail();
  std::string line = "E" + std::to_string(info.number) + " " + info.name + ": " + info.text;
  auto add = [&line](const char* label, const std::string& text) {
    if (!text.empty()) line += std::string("; ") + label + " " + escape_text(text);
  };
  add("field", detail.field);
  add("expected", detail.expected);
  add("got", detail.got);
  add("fix:", detail.fix.empty() ? info.fix : detail.fix);
  return line;
}

}  // namespace taper
