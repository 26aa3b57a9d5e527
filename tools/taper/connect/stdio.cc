#include "tools/taper/connect/stdio.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::tools {

namespace asio = boost::asio;
using boost::system::error_code;

Result<std::unique_ptr<Stdio>> Stdio::open(asio::io_context& io, int in, int out) {
  const Ends ends{in, out, ::fcntl(in, F_GETFL), ::fcntl(out, F_GETFL)};
  Fd in_copy(::fcntl(in, F_DUPFD_CLOEXEC, 0));
  Fd out_copy(::fcntl(out, F_DUPFD_CLOEXEC, 0));
  if (!in_copy || !out_copy || ends.in_flags < 0 || ends.out_flags < 0)
    return os_error("stdin or stdout", errno);
  return std::unique_ptr<Stdio>(new Stdio(io, ends, in_copy.release(), out_copy.release()));
}

Stdio::Stdio(asio::io_context& io, Ends ends, int in_copy, int out_copy)
    : ends_(ends), in_(io, in_copy), out_(io, out_copy) {}

Stdio::~Stdio() {
  error_code ignored;
  in_.close(ignored);
  out_.close(ignored);
  // The copies share their flags with whoever gave the originals: a shell, for one.
  static_cast<void>(::fcntl(ends_.in, F_SETFL, ends_.in_flags));
  static_cast<void>(::fcntl(ends_.out, F_SETFL, ends_.out_flags));
}

void Stdio::start(Watch watch) {
  watch_ = std::move(watch);
  resume();
}

bool Stdio::has_room() const {
  return queued_.size() + being_written_.size() < limits::kConnectQueueBytesMax;
}

void Stdio::resume() {
  if (reading_ || ended_ || !watch_.may_read || !watch_.may_read()) return;
  reading_ = true;
  in_.async_read_some(asio::buffer(buffer_), [this](const error_code& error, std::size_t length) {
    reading_ = false;
    if (ended_) return;
    if (error) return end();
    watch_.came({buffer_.data(), length});
    resume();
  });
}

void Stdio::put(std::string_view line) {
  if (broken_) return;
  queued_ += line;
  write();
}

void Stdio::write() {
  if (!being_written_.empty() || broken_) return;
  if (queued_.empty()) {
    if (written_) std::exchange(written_, nullptr)();
    return;
  }
  std::swap(queued_, being_written_);
  asio::async_write(out_, asio::buffer(being_written_),
                    [this](const error_code& error, std::size_t /*length*/) {
                      being_written_.clear();
                      if (error) {
                        broken_ = true;
                        queued_.clear();
                        if (written_) return std::exchange(written_, nullptr)();
                        return end();
                      }
                      write();
                      if (watch_.drained && has_room()) watch_.drained();
                      resume();
                    });
}

void Stdio::end() {
  if (std::exchange(ended_, true)) return;
  watch_.ended();
}

void Stdio::finish(std::function<void()> written) {
  ended_ = true;
  error_code ignored;
  in_.cancel(ignored);
  if (broken_) return written();
  written_ = std::move(written);
  write();
}

}  // namespace taper::tools
