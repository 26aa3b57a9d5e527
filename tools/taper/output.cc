#include "tools/taper/output.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "runtime/base/text.h"

namespace taper::tools {
namespace {

void print(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fputc('\n', stream);
  std::fflush(stream);
}

}  // namespace

void Output::line(const std::string& text) const {
  if (!json) print(stdout, text);
}

void Output::note(const std::string& text) const { print(stderr, text); }

void Output::set(std::string name, capsules::Value value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void Output::stream_json(const std::string& json_text) {
  streaming_ = true;
  print(stdout, json_text);
}

int Output::finish(const Status& status) {
  const Error* error = status.ok() ? nullptr : &status.error();
  if (json && !streaming_) {
    if (error != nullptr) set("error", error_value(*error));
    const bool whole = error == nullptr && !document_.empty();
    print(stdout, whole ? document_ : capsules::write_canonical(std::move(fields_)));
  }
  if (error == nullptr) return 0;
  print(stderr, "taper: " + to_line(*error));
  return exit_code(error->code());
}

capsules::Value text_value(std::string_view text) {
  return is_utf8(text) ? capsules::Value(text) : capsules::Value(escape_text(text));
}

capsules::Value error_value(const Error& error) {
  const CodeInfo& info = describe(error.code());
  const ErrorDetail& detail = error.detail();
  return capsules::Object{{"number", std::int64_t{info.number}},
                          {"name", info.name},
                          {"question", info.question},
                          {"field", text_value(detail.field)},
                          {"expected", text_value(detail.expected)},
                          {"got", text_value(detail.got)},
                          {"fix", text_value(detail.fix.empty() ? info.fix : detail.fix)}};
}

std::string coloured(std::string_view word, std::string_view ansi) {
  if (::isatty(STDOUT_FILENO) == 0) return std::string(word);
  return "\033[" + std::string(ansi) + "m" + std::string(word) + "\033[0m";
}

}  // namespace taper::tools
