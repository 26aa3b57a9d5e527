#include "runtime/upstream/lines.h"

#include "runtime/base/limits.h"

namespace taper::upstream {

void LineBuffer::feed(std::string_view bytes) {
  kept_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  kept_ += bytes;
}

std::optional<Line> LineBuffer::next() {
  const std::size_t end = kept_.find('\n', searched_);
  if (end == kept_.npos) {
    searched_ = kept_.size();
    skipping_ = skipping_ || full();
    if (skipping_) begin_ = searched_;
    return std::nullopt;
  }
  Line line;
  line.overlong = skipping_ || end - begin_ > limits::kUpstreamLineBytesMax;
  if (!line.overlong) line.text = kept_.substr(begin_, end - begin_);
  begin_ = searched_ = end + 1;
  skipping_ = false;
  return line;
}

bool LineBuffer::full() const { return kept_.size() - begin_ > limits::kUpstreamLineBytesMax; }

}  // namespace taper::upstream
