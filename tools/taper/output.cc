#include "tools/taper/output.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace taper::tools {
namespace {

// 0, or the errno.
int print(std::FILE* stream, const std::string& text) {
  errno = 0;
  const bool whole = std::fwrite(text.data(), 1, text.size(), stream) == text.size() &&
                     std::fputc('\n', stream) != EOF && std::fflush(stream) == 0;
  return whole ? 0 : errno != 0 ? errno : EIO;
}

// How many bytes the character takes that begins with `lead`; the text is UTF-8.
std::size_t length_of(char lead) {
  const auto byte = static_cast<std::uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

std::uint32_t code_point(std::string_view character) {
  const auto bits = [](char c, unsigned mask) { return static_cast<std::uint8_t>(c) & mask; };
  std::uint32_t point =
      bits(character[0], character.size() == 1 ? 0x7FU : 0xFFU >> (character.size() + 1));
  for (const char c : character.substr(1)) point = point << 6U | bits(c, 0x3FU);
  return point;
}

// The same JSON, with what a terminal would obey or hide as \uNNNN: such characters stand only
// inside strings, so the document means the same.
std::string shown_json(std::string_view text) {
  std::string out;
  std::array<char, 16> buffer{};
  const auto add = [&](std::uint32_t unit) {
    std::snprintf(buffer.data(), buffer.size(), "\\u%04x", unit);
    out += buffer.data();
  };
  while (!text.empty()) {
    const std::string_view character = text.substr(0, length_of(text.front()));
    const std::uint32_t point = code_point(character);
    const bool hidden = point == 0x7F || (point >= 0x80 && escape_text(character) != character);
    text.remove_prefix(character.size());
    if (!hidden) {
      out += character;
    } else if (point < 0x10000) {
      add(point);
    } else {
      add(0xD800U + ((point - 0x10000U) >> 10U));
      add(0xDC00U + (point & 0x3FFU));
    }
  }
  return out;
}

}  // namespace

void Output::print_out(const std::string& text) const {
  const int error = print(stdout, text);
  if (write_error_ == 0) write_error_ = error;
}

Status Output::written() const {
  return write_error_ == 0 ? success() : Status(os_error("write stdout", write_error_));
}

void Output::line(const std::string& text) const {
  if (!json) print_out(text);
}

void Output::note(const std::string& text) const { static_cast<void>(print(stderr, text)); }

void Output::set(std::string name, capsules::Value value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void Output::stream_json(const std::string& json_text) {
  streaming_ = true;
  print_out(shown_json(json_text));
}

int Output::finish(const Status& status) {
  const Error* error = status.ok() ? nullptr : &status.error();
  if (json && !streaming_) {
    if (error != nullptr) set("error", error_value(*error));
    const bool whole = error == nullptr && !document_.empty();
    print_out(shown_json(whole ? document_ : capsules::write_canonical(std::move(fields_))));
  }
  const Status out = written();
  if (error == nullptr && !out.ok()) error = &out.error();
  if (error == nullptr) return 0;
  static_cast<void>(print(stderr, "taper: " + to_line(*error)));
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
