// The client's side of MCP with one server, in each era, one question at a time. What is asked
// stands in docs/ARCHITECTURE.md; no capability is declared but what a call was made with, so a
// server has nothing else to ask back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/edge/mcp/json.h"
#include "runtime/edge/mcp/version.h"
#include "runtime/sandbox/builtin/message.h"
#include "runtime/upstream/definition.h"
#include "runtime/upstream/link.h"
#include "runtime/upstream/message.h"

namespace taper::upstream {

struct ToolCall {
  std::string name;     // the server's own
  mcp::Json arguments;  // an object
  std::string pinned;   // the definition that the call was allowed for, as JSON
  // What the request's `_meta` says beside what is the protocol's: texts by their names.
  std::vector<std::pair<std::string, std::string>> meta = {};
  bool progress = false;  // whoever waits for the call wants to be told of it
  authority::Input input = authority::Input::none;  // what can be answered, of 2026-07-28 alone
  // Where the call goes on: an object, and what the server wanted back.
  mcp::Json responses = {};
  std::optional<std::string> state = {};
};

// After an error with upstream_drift or upstream_broken the server must not be used any more. Each
// question also fails with upstream_broken "timeout" once `until_ms` (CLOCK_BOOTTIME) has come.
class Client {
 public:
  // Whether `era` is a revision's name, or "auto": the newest that the server speaks.
  static bool is_era(std::string_view era);
  // Of the call under way, with rising numbers, at most once in limits::kUpstreamProgressMs.
  using Tell = std::function<void(const sandbox::ToolProgress&)>;
  // `link` is not started yet; the first question does that. `era` passed is_era.
  Client(Link& link, std::string_view era, Tell tell = nullptr);

  // Fields "definitions" (a JSON array in the server's order), "version", "server" (its name and
  // version) and, where there are any, "left_out": a JSON array of {"name","why"} of tools that
  // cannot be pinned, and are not among the definitions. Errors: upstream_drift "era",
  // upstream_broken, too_large.
  Result<sandbox::BuiltinResult> definitions(std::int64_t until_ms);

  // Calls the tool where its definition is the pinned one, before and after; else its result is
  // dropped. Fields: read_call_result(), or read_question() where it asks for input that the call
  // offered. Errors: as above; upstream_drift with the member that
  // differs; tool_failed and tool_input, where the server answers so.
  Result<sandbox::BuiltinResult> call(const ToolCall& call, std::int64_t until_ms);

  // Takes a line that came while nothing was asked. Errors: upstream_broken.
  Status take_unasked(const Line& line, std::int64_t until_ms);

 private:
  struct Answer {
    bool failed = false;
    std::int64_t code = 0;  // where it failed, and its message
    std::string text;
    std::string result;
  };

  // client.cc
  Result<Answer> ask(std::string_view method, mcp::ObjectWriter params,
                     mcp::ObjectWriter meta = {});
  Result<std::optional<Answer>> take(const Line& line);
  Status take_message(const Message& message, std::optional<Answer>& answer);
  Status take_request(const Message& message);
  void take_notification(const Message& message);
  bool is_progress(const Message& message) const;  // of the call under way
  Status take_progress(const Message& message);
  Status count_stray();
  Status send(std::string_view method, mcp::Json params, std::optional<std::int64_t> id);
  Status list();
  Status list_once();
  Status check_tool(const ToolCall& call) const;
  Result<sandbox::BuiltinResult> conclude(const ToolCall& call, const Answer& answer) const;
  bool modern() const { return version_ == mcp::Version::modern; }

  // handshake.cc
  static mcp::Json client_info();
  void add_protocol(mcp::ObjectWriter& meta) const;
  Status open();
  Status negotiate();
  Status discover();
  Status adopt(std::string_view discovered);
  Status listen();
  Status initialize(mcp::Version version);
  void keep_server(std::string_view info);

  // Of the progress of one call.
  struct Heard {
    std::int64_t id = 0;  // of the call, and its token; 0: nobody wants to be told
    std::optional<double> done;
    std::optional<std::int64_t> told_ms;
    std::int64_t second_ms = 0;  // when the second began in which so many came
    std::size_t in_second = 0;
  };

  Link& link_;
  Tell tell_;
  std::optional<mcp::Version> era_;  // empty: auto
  mcp::Version version_ = mcp::kNewestLegacy;
  std::string server_;
  std::int64_t until_ms_ = 0;
  std::int64_t last_id_ = 0;
  std::int64_t awaited_ = 0;          // the id of what is asked now
  std::int64_t listen_id_ = 0;        // of subscriptions/listen; it is answered at its end
  std::set<std::int64_t> abandoned_;  // answers to these may still come, and are dropped
  std::size_t strays_ = 0;            // messages that were no answer, since the last question
  authority::Input input_ = authority::Input::none;  // offered with what is asked now
  bool opened_ = false;
  bool told_ = false;  // the server says when its tools change
  bool stale_ = true;  // they changed since they were listed
  std::vector<Definition> tools_;
  Heard heard_;
};

}  // namespace taper::upstream
