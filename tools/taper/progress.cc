#include "tools/taper/progress.h"

#include <csignal>
#include <system_error>
#include <utility>

#include "runtime/base/file.h"

namespace taper::tools {
namespace {

std::string left_out(std::size_t count) {
  return "(" + std::to_string(count) + " not shown: nobody read in time)\n";
}

}  // namespace

Progress::~Progress() { static_cast<void>(finish()); }

// Every signal stays with the thread that acts on it. A reader that went away is an error of the
// write, and no death by SIGPIPE: the run goes on.
void Progress::start() {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  try {
    thread_ = std::thread(&Progress::write_out, this);
  } catch (const std::system_error&) {
    // Then all of it is written at the end.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Progress::put(const std::string& lines) {
  const std::lock_guard lock(mutex_);
  if (queued_.size() + lines.size() > kBytesMax) {
    ++left_out_;
    return;
  }
  if (left_out_ != 0) queued_ += left_out(std::exchange(left_out_, 0));
  queued_ += lines;
  if (!thread_.joinable()) start();
  news_.notify_one();
}

void Progress::write_out() {
  std::unique_lock lock(mutex_);
  while (written_.ok()) {
    news_.wait(lock, [this] { return over_ || !queued_.empty(); });
    if (queued_.empty()) return;
    const std::string taken = std::exchange(queued_, "");
    lock.unlock();
    Status written = write_all(fd_, "stdout", as_bytes(taken));
    lock.lock();
    if (!written.ok()) written_ = Error(Code::os_failure, written.error().detail());
  }
}

Status Progress::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (left_out_ != 0) queued_ += left_out(std::exchange(left_out_, 0));
    over_ = true;
    news_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  write_out();  // what no thread has written
  return written_.ok() ? success() : Status(written_.error());
}

}  // namespace taper::tools
