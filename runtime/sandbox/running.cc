#include "runtime/sandbox/running.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/base/clock.h"
#include "runtime/sandbox/builtin/message.h"

namespace taper::sandbox {
namespace {

constexpr std::size_t kChunk = 64 * 1024;

Error ended(Code code, std::string field, std::string got) {
  return Error(code, {.field = std::move(field), .expected = "", .got = std::move(got), .fix = ""});
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name == nullptr ? "signal " + std::to_string(number) : std::string("SIG") + name;
}

RunReport start_report(const authority::PermitFacts& facts) {
  RunReport report;
  report.task = facts.task;
  report.call = facts.call;
  return report;
}

void set_exited(RunReport& report, const authority::PermitFacts& facts, int status) {
  report.exit_status = status;
  if (facts.kind == authority::ToolKind::upstream) {
    report = report_broken(facts, "ended", "its cell ended with status " + std::to_string(status));
  } else if (facts.kind == authority::ToolKind::builtin) {
    report.end = RunEnd::lost;
    report.error =
        ended(Code::spawner_lost, "cell", "it ended with status " + std::to_string(status));
  } else if (status == 0) {
    report.end = RunEnd::done;
  } else {
    report.end = RunEnd::failed;
    report.error = ended(Code::tool_failed, "exit status", std::to_string(status));
  }
}

void set_signalled(RunReport& report, int signal) {
  report.signal = signal;
  report.end = signal == SIGSYS ? RunEnd::violation : RunEnd::signalled;
  report.error = signal == SIGSYS
                     ? ended(Code::tool_killed, "system call", "one that its sandbox forbids")
                     : ended(Code::tool_killed, "signal", signal_name(signal));
}

}  // namespace

RunReport report_of(const authority::PermitFacts& facts, const CellGone& gone) {
  RunReport report = start_report(facts);
  // A resident cell served other calls too.
  const bool own =
      facts.kind == authority::ToolKind::command || facts.kind == authority::ToolKind::agent;
  const bool whole = own && gone.end != CellEnd::lost;
  if (whole || gone.end == CellEnd::refused) report.cpu_ms = gone.cpu_ms;
  switch (gone.end) {
    case CellEnd::exited: set_exited(report, facts, gone.value); break;
    case CellEnd::signalled:
      set_signalled(report, gone.value);
      // What the server did before is not known, so no plan may do it again.
      if (facts.kind == authority::ToolKind::upstream && report.end == RunEnd::signalled)
        return report_broken(facts, "ended", "its cell was killed by " + signal_name(gone.value));
      break;
    case CellEnd::deadline:
      report.end = RunEnd::deadline;
      report.error = ended(Code::tool_killed, "deadline", "reached");
      break;
    case CellEnd::killed: return report_killed(facts);
    case CellEnd::refused:
      report.end = RunEnd::refused;
      report.error = ended(gone.code, gone.field, gone.got);
      break;
    case CellEnd::unset:
    case CellEnd::lost:
      report.end = RunEnd::lost;
      report.error = ended(Code::spawner_lost, "cell", "its first process died");
      break;
  }
  return report;
}

RunReport report_killed(const authority::PermitFacts& facts) {
  RunReport report = start_report(facts);
  report.end = RunEnd::killed;
  report.error = ended(Code::tool_killed, "", "");
  return report;
}

RunReport report_broken(const authority::PermitFacts& facts, std::string field, std::string got) {
  RunReport report = start_report(facts);
  report.end = RunEnd::failed;
  report.error = ended(Code::upstream_broken, std::move(field), std::move(got));
  return report;
}

bool CommandOutput::read_pipe(std::size_t index) {
  std::array<char, kChunk> buffer;
  while (pipes_[index]) {
    const ssize_t count = ::read(pipes_[index].get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return true;
    if (count <= 0) {
      pipes_[index].reset();
      return true;
    }
    const std::size_t room = cap_ - texts_[0].size() - texts_[1].size();
    const std::size_t got = static_cast<std::size_t>(count);
    texts_[index].append(buffer.data(), std::min(got, room));
    if (got > room) return false;
  }
  return true;
}

CommandOutput::Progress CommandOutput::read() {
  if (read_pipe(0) && read_pipe(1)) return Progress::open;
  for (Fd& pipe : pipes_) pipe.reset();
  return Progress::over_cap;
}

void CommandOutput::give(RunReport& report) {
  report.out = std::move(texts_[0]);
  report.err = std::move(texts_[1]);
}

std::optional<std::int64_t> BuiltinQueue::time_ms() const {
  if (idle() || calls_.front().kind != authority::ToolKind::upstream) return std::nullopt;
  for (const authority::InputValue& input : calls_.front().inputs) {
    const auto* ms = std::get_if<std::int64_t>(&input.value);
    if (ms != nullptr && input.name == "timeout_ms") return *ms + limits::kUpstreamGraceMs;
  }
  return limits::kUpstreamCallMs;
}

void BuiltinQueue::push(authority::PermitFacts facts) {
  calls_.push_back(std::move(facts));
  if (calls_.size() == 1) send_next();
}

void BuiltinQueue::send_next() {
  if (!calls_.empty()) unsent_ = frame(encode_request(calls_.front()));
}

BuiltinQueue::Progress BuiltinQueue::write() {
  while (!unsent_.empty()) {
    const ssize_t count =
        ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN ? Progress::open : Progress::closed;
    unsent_.erase(unsent_.begin(), unsent_.begin() + count);
  }
  return Progress::open;
}

BuiltinQueue::Progress BuiltinQueue::parse(std::vector<RunReport>& out) {
  while (received_.size() >= sizeof(std::uint32_t)) {
    ByteReader in(received_);
    const std::uint32_t size = in.u32();
    if (size > limits::kBuiltinReplyBytesMax || idle()) return Progress::broken;
    if (in.left() < size) return Progress::open;
    const bool upstream = calls_.front().kind == authority::ToolKind::upstream;
    const ByteSpan message = in.take(size);
    const auto end = static_cast<std::ptrdiff_t>(sizeof size + size);
    if (upstream && is_progress(message)) {
      if (!take_progress(message)) return Progress::broken;
      received_.erase(received_.begin(), received_.begin() + end);
      continue;
    }
    const Result<BuiltinReply> reply = decode_reply(message, calls_.front().kind);
    if (!reply.ok()) return Progress::broken;
    RunReport report = start_report(calls_.front());
    report.end = reply->error.code() == Code::ok ? RunEnd::done : RunEnd::failed;
    report.error = reply->error;
    report.result = reply->result;
    if (!upstream) report.cpu_ms = reply->cpu_ms;  // another's process did the work
    out.push_back(std::move(report));
    received_.erase(received_.begin(), received_.begin() + end);
    calls_.pop_front();
    in_second_ = 0;
    const Code code = reply->error.code();
    over_ = code == Code::upstream_drift || code == Code::upstream_broken;
    if (over_) return Progress::closed;
    send_next();
  }
  return Progress::open;
}

bool BuiltinQueue::take_progress(ByteSpan message) {
  constexpr std::int64_t kSecondMs = 1000;
  const std::int64_t now_ms = SystemClock().now().boot_ms;
  if (now_ms - second_ms_ >= kSecondMs) {
    second_ms_ = now_ms;
    in_second_ = 0;
  }
  std::optional<ToolProgress> told = decode_progress(message);
  if (!told || ++in_second_ > limits::kProgressFramesPerS) return false;
  told_ = {calls_.front().task, calls_.front().call, std::move(*told)};
  return true;
}

BuiltinQueue::Progress BuiltinQueue::read(std::vector<RunReport>& out) {
  std::array<std::uint8_t, kChunk> buffer;
  for (;;) {
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return Progress::open;
    if (count <= 0) return Progress::closed;
    received_.insert(received_.end(), buffer.begin(), buffer.begin() + count);
    const Progress parsed = parse(out);
    if (parsed != Progress::open) return parsed;
  }
}

BuiltinQueue::Progress BuiltinQueue::move(std::vector<RunReport>& out) {
  const Progress progress = read(out);
  return progress == Progress::open ? write() : progress;
}

std::optional<authority::PermitFacts> BuiltinQueue::drop_waiting(const CallId& call) {
  const auto found = std::ranges::find(calls_, call, &authority::PermitFacts::call);
  if (found == calls_.end() || found == calls_.begin()) return std::nullopt;
  authority::PermitFacts facts = std::move(*found);
  calls_.erase(found);
  return facts;
}

}  // namespace taper::sandbox
