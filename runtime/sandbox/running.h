// What the broker's side holds of cells that run: pipes and request sockets, never waited for.
// Private to the folder.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/authority/permit.h"
#include "runtime/base/file.h"
#include "runtime/sandbox/spawner.h"
#include "runtime/sandbox/wire.h"

namespace taper::sandbox {

// The report of a run that its cell's end decided.
RunReport report_of(const authority::PermitFacts& facts, const CellGone& gone);
RunReport report_killed(const authority::PermitFacts& facts);
// Of an upstream's call, with the code upstream_broken.
RunReport report_broken(const authority::PermitFacts& facts, std::string field, std::string got);

// One command's output.
class CommandOutput {
 public:
  CommandOutput(Fd out, Fd err, std::size_t cap)
      : pipes_{std::move(out), std::move(err)}, cap_(cap) {}

  enum class Progress : std::uint8_t { open, over_cap };
  // Takes what is there. Over the cap the text is cut and the pipes are closed.
  Progress read();
  const Fd& out() const { return pipes_[0]; }
  const Fd& err() const { return pipes_[1]; }
  void give(RunReport& report);

 private:
  bool read_pipe(std::size_t index);  // false: over the cap
  std::array<Fd, 2> pipes_;
  std::array<std::string, 2> texts_;
  std::size_t cap_;
};

// A resident cell's request socket: requests go one at a time, in order.
class BuiltinQueue {
 public:
  explicit BuiltinQueue(Fd socket) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }
  // When an upstream's call is under way: how long it may take, until the reply is there.
  std::optional<std::int64_t> time_ms() const;
  void push(authority::PermitFacts facts);
  bool idle() const { return calls_.empty(); }
  bool wants_write() const { return !unsent_.empty(); }

  // closed: the cell is ending, or said that its server is over. broken: it does not keep to the
  // protocol and must be killed.
  enum class Progress : std::uint8_t { open, closed, broken };
  // Sends and receives what goes without waiting; finished calls are appended to `out`.
  Progress move(std::vector<RunReport>& out);
  // Removes a call that was not sent yet.
  std::optional<authority::PermitFacts> drop_waiting(const CallId& call);
  bool current(const CallId& call) const { return !idle() && calls_.front().call == call; }
  CallId first() const { return idle() ? CallId() : calls_.front().call; }
  // An upstream's reply told of its end; the calls that are left were not begun.
  bool over() const { return over_; }
  // What an upstream's call told of itself since this was asked last.
  std::optional<ProgressReport> take_told() { return std::exchange(told_, std::nullopt); }
  // What is left when the cell is gone; the first was under way.
  std::deque<authority::PermitFacts> take_calls() { return std::move(calls_); }

 private:
  void send_next();
  Progress write();
  Progress read(std::vector<RunReport>& out);
  Progress parse(std::vector<RunReport>& out);
  bool take_progress(ByteSpan message);  // false: not such a message, or one too many

  Fd socket_;
  std::deque<authority::PermitFacts> calls_;  // the first is under way
  Bytes unsent_;
  Bytes received_;
  bool over_ = false;
  std::optional<ProgressReport> told_;
  std::int64_t second_ms_ = 0;  // when the second began in which so many frames told of progress
  std::size_t in_second_ = 0;   // of the call under way
};

}  // namespace taper::sandbox
