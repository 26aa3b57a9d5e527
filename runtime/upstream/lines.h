// Cuts what a server writes into lines, keeping at most limits::kUpstreamLineBytesMax of one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace taper::upstream {

struct Line {
  std::string text;       // without its line feed; empty where it was overlong
  bool overlong = false;  // longer than the limit; its bytes are gone
};

class LineBuffer {
 public:
  void feed(std::string_view bytes);
  // The next whole line, in order; empty: none has come yet.
  std::optional<Line> next();
  // More than the limit was fed and not given out. Whoever feeds stops then, and asks for lines.
  bool full() const;

 private:
  std::string kept_;
  std::size_t begin_ = 0;     // before it all was given out
  std::size_t searched_ = 0;  // from the beginning to here there is no line feed
  bool skipping_ = false;     // the rest of an overlong line
};

}  // namespace taper::upstream
