// What a verb says. People get lines, programs (--json) get exactly one JSON document on stdout.
// A failure's last line on stderr is always "taper: E<number> <name>: …".
#pragma once

#include <string>
#include <string_view>

#include "capsules/value.h"
#include "runtime/base/result.h"

namespace taper::tools {

class Output {
 public:
  bool json = false;

  // For people, on stdout; nothing with --json. `text` is already fit for a terminal.
  void line(const std::string& text) const;
  // For people, on stderr, also with --json: warnings and findings.
  void note(const std::string& text) const;

  // Adds to the JSON document. Text that is not UTF-8 is escaped.
  void set(std::string name, capsules::Value value);
  // Makes `json_text` the whole document; set() is ignored then.
  void set_document(std::string json_text) { document_ = std::move(json_text); }
  // The verb writes JSON lines, or its one document, by itself and no document follows.
  void stream_json(const std::string& json_text);
  // That there may be no line at all.
  void begin_stream() { streaming_ = true; }

  // Prints the document, with "error" in it when the verb failed, and the error line. Returns the
  // exit code.
  // A stdout that did not take all of it makes a failure of a success: os_failure.
  int finish(const Status& status);

  // What stdout was given so far is written. Error: os_failure.
  Status written() const;

 private:
  void print_out(const std::string& text) const;

  capsules::Object fields_;
  std::string document_;
  bool streaming_ = false;
  mutable int write_error_ = 0;  // the first errno of stdout
};

// A JSON string that is always UTF-8.
capsules::Value text_value(std::string_view text);
// {number, name, question, field, expected, got, fix}
capsules::Value error_value(const Error& error);

// "ALLOW" in green and "DENY" in red on a terminal; the word alone elsewhere.
std::string coloured(std::string_view word, std::string_view ansi);
inline constexpr std::string_view kGreen = "32";
inline constexpr std::string_view kRed = "31";
inline constexpr std::string_view kYellow = "33";

}  // namespace taper::tools
