#include "runtime/broker/outcome.h"

#include <algorithm>
#include <utility>

namespace taper::broker {
namespace {

// As long as saying how long one is.
constexpr std::size_t kResultShownBytesLeast = 64;

using authority::CallState;
using sandbox::RunEnd;

CallState state_of(RunEnd end) {
  switch (end) {
    case RunEnd::done: return CallState::done;
    case RunEnd::failed:
    case RunEnd::signalled:
    case RunEnd::refused: return CallState::failed;
    case RunEnd::violation:
    case RunEnd::deadline:
    case RunEnd::output_cap:
    case RunEnd::killed: return CallState::killed;
    case RunEnd::lost: return CallState::interrupted;
    case RunEnd::unset: break;
  }
  TAPER_ASSERT(false);
  return CallState::unset;
}

Code code_of_end(const sandbox::RunReport& report) {
  switch (report.end) {
    case RunEnd::done: return Code::ok;
    case RunEnd::violation: return Code::violation;
    case RunEnd::output_cap: return Code::output_cap;
    case RunEnd::deadline:
    case RunEnd::killed: return Code::tool_killed;
    case RunEnd::lost: return Code::call_interrupted;
    default: break;
  }
  const Code given = report.error.code();
  return given == Code::ok || given == Code::unset ? Code::tool_failed : given;
}

}  // namespace

authority::Outcome outcome_of(const sandbox::RunReport& report, authority::ToolKind kind) {
  authority::Outcome outcome;
  outcome.state = state_of(report.end);
  outcome.code = code_of_end(report);
  if (report.end != RunEnd::done) outcome.detail = to_line(report.error);
  const Code code = report.error.code();
  const bool servers_words = kind == authority::ToolKind::upstream && code != Code::upstream_drift;
  if (report.end == RunEnd::failed && servers_words) {
    ErrorDetail detail = report.error.detail();
    outcome.subject = std::exchange(detail.got, "");
    outcome.detail = to_line(Error(code, std::move(detail)));
  } else if (code == Code::tool_failed) {
    // A tool's own failure names a path or a value that came as an argument.
    ErrorDetail detail = report.error.detail();
    outcome.subject = std::exchange(detail.field, "");
    outcome.detail = to_line(Error(Code::tool_failed, std::move(detail)));
  }
  outcome.exit_status = report.exit_status;
  outcome.cpu_ms = report.cpu_ms;
  return outcome;
}

void fail_by_answer(sandbox::RunReport& report) {
  if (report.end != RunEnd::done) return;
  for (sandbox::Field& field : report.result.fields) {
    const bool* failed = std::get_if<bool>(&field.value);
    if (field.name == "is_error" && failed != nullptr && *failed) report.end = RunEnd::failed;
    auto* text = std::get_if<std::string>(&field.value);
    if (field.name == "text" && text != nullptr) report.err = std::move(*text);
  }
  if (report.end != RunEnd::done) report.error = Error(Code::tool_failed);
}

authority::Outcome outcome_without_run(CallState state, const Error& error) {
  authority::Outcome outcome;
  outcome.state = state;
  outcome.code = error.code();
  outcome.detail = to_line(error);
  if (state != CallState::interrupted) outcome.cpu_ms = 0;
  return outcome;
}

std::string shown_result(std::string_view json, std::size_t bytes_max) {
  if (json.size() <= std::max(bytes_max, kResultShownBytesLeast)) return std::string(json);
  return "{\"truncated\":true,\"bytes\":" + std::to_string(json.size()) + "}";
}

}  // namespace taper::broker
