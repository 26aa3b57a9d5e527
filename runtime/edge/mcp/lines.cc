#include "runtime/edge/mcp/lines.h"

#include "runtime/base/limits.h"

namespace taper::mcp {

void LineReader::feed(std::string_view bytes, const std::function<void(std::string_view)>& line,
                      const std::function<void()>& overlong, const bool& go_on) {
  while (!bytes.empty() && go_on) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    if (!skipping_ && kept_.size() + part.size() > limits::kMcpLineBytesMax) {
      skipping_ = true;
      kept_ = std::string();  // gives the memory back
      overlong();
    }
    const bool whole = end != std::string_view::npos;
    if (skipping_) {
      if (whole) skipping_ = false;
      continue;
    }
    if (!whole) {
      kept_ += part;
    } else if (kept_.empty()) {
      line(part);
    } else {
      const std::string joined = std::move(kept_) + std::string(part);
      kept_ = std::string();
      line(joined);
    }
  }
}

}  // namespace taper::mcp
