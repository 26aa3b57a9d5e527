// Cuts a stream of bytes into lines, keeping at most limits::kMcpLineBytesMax of an unfinished one.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace taper::mcp {

class LineReader {
 public:
  // Calls `line` for each whole line, without its line feed, and `overlong` once for each that is
  // longer than the limit. Either may set `*go_on` false, which drops the rest.
  void feed(std::string_view bytes, const std::function<void(std::string_view)>& line,
            const std::function<void()>& overlong, const bool& go_on);

 private:
  std::string kept_;  // the beginning of a line
  bool skipping_ = false;
};

}  // namespace taper::mcp
