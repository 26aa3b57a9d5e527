// Progress on stdout, told by whoever must never wait for the reader: a thread of its own writes.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/base/result.h"

namespace taper::tools {

class Progress {
 public:
  // What is told and not yet read; what goes beyond it is left out, and said to be.
  static constexpr std::size_t kBytesMax = 4 * 1024 * 1024;

  explicit Progress(int fd) : fd_(fd) {}
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void put(const std::string& lines);  // never waits; whole lines
  // Waits until all is written, or writing failed: os_failure. Nothing is put afterwards.
  Status finish();

 private:
  void start();
  void write_out();

  int fd_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::string queued_;
  std::size_t left_out_ = 0;  // since the last that was queued
  bool over_ = false;
  Status written_ = success();
  std::thread thread_;
};

}  // namespace taper::tools
