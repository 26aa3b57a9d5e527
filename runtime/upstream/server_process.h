// One MCP server as a child of this process: lines to its stdin and from its stdout. What it writes
// to stderr is read and dropped, but for the end of it, which stands in errors.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/upstream/link.h"

namespace taper::upstream {

// SIGPIPE must be ignored. The destructor kills the server; what it started dies with the cell.
class ServerProcess final : public Link {
 public:
  // `program`: a descriptor of the program, kept open by the caller, close-on-exec like all of this
  // process but the first three. `argv`: its words, at least one.
  ServerProcess(int program, std::vector<std::string> argv);
  ~ServerProcess() override;
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::int64_t now_ms() const override { return clock_.now().boot_ms; }
  Status start() override;
  Status send(std::string_view line, std::int64_t until_ms) override;
  Result<Line> receive(std::int64_t until_ms) override;

  // Waits, without end, until `other` can be read; what the server says meanwhile is given to
  // `line`, whose error ends it. Errors: that one, and upstream_broken "ended".
  template <class Take>
  Status wait_for(int other, Take line) {
    for (;;) {
      while (std::optional<Line> next = lines_.next()) TAPER_CHECK(line(*next));
      TAPER_TRY(const bool ready, wait(other, kForever));
      if (ready) return success();
    }
  }

 private:
  static constexpr std::int64_t kForever = -1;
  // Moves what can be moved between the pipes and here, waiting for it first. Whether `other`,
  // where there is one, can be read. Errors: upstream_broken "ended", "timeout".
  Result<bool> wait(int other, std::int64_t until_ms);
  void stop();
  void read_err();
  Error ended();
  std::string last_words();

  SystemClock clock_;
  int program_;
  std::vector<std::string> argv_;
  pid_t pid_ = -1;  // -1: none, or it was reaped
  Fd in_, out_, err_;
  std::string unsent_;
  LineBuffer lines_;
  std::string words_;  // the end of its stderr
  bool words_cut_ = false;
};

}  // namespace taper::upstream
