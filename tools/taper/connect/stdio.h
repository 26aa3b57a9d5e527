// The client's side of stdin and stdout: reads as long as there is room, writes whole lines in
// their order. Nothing else of this program may write to that stdout.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace taper::tools {

class Stdio {
 public:
  struct Watch {
    std::function<void(std::string_view bytes)> came;
    std::function<void()> ended;    // once: nothing more comes, or nobody reads what is written
    std::function<void()> drained;  // there is room again
    std::function<bool()> may_read;
  };
  // Works on copies of the descriptors; what it changes of them is undone when it goes.
  // Error: os_failure.
  static Result<std::unique_ptr<Stdio>> open(boost::asio::io_context& io, int in, int out);
  ~Stdio();
  Stdio(const Stdio&) = delete;
  Stdio& operator=(const Stdio&) = delete;

  // Once. Outlives every run of the io_context.
  void start(Watch watch);
  void put(std::string_view line);
  bool has_room() const;
  // Reads on, where `may_read` said no before.
  void resume();
  // Reads no more; `written` is called when all is written, or cannot be.
  void finish(std::function<void()> written);

 private:
  struct Ends {
    int in, out;              // whose flags are put back
    int in_flags, out_flags;  // as they were
  };
  Stdio(boost::asio::io_context& io, Ends ends, int in_copy, int out_copy);
  void write();
  void end();

  static constexpr std::size_t kReadBytes = std::size_t{16} * 1024;
  Ends ends_;
  boost::asio::posix::stream_descriptor in_, out_;
  Watch watch_;
  std::array<char, kReadBytes> buffer_{};
  std::string queued_, being_written_;
  std::function<void()> written_;
  bool reading_ = false, ended_ = false, broken_ = false;
};

}  // namespace taper::tools
