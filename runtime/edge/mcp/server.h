// One MCP connection, server side: bytes in, bytes out. Speaks 2026-07-28 with the tasks extension
// and, after `initialize`, 2025-11-25, 2025-06-18, 2025-03-26 and 2024-11-05, both on one
// connection. Does no I/O and knows no clock. Not for use from several threads.
//
// The owner feeds what it reads and writes what `sink` is given, in order; while its own output is
// full it stops feeding. Only whole messages, each with its line feed, ever reach the sink. The
// sink never calls back into the Server, and nothing that the Server calls may destroy it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/edge/mcp/backend.h"

namespace taper::mcp {

// What the server says of itself.
struct Identity {
  std::string name;
  std::string title;
  std::string version;
  std::string instructions;   // for the model; empty: none
  std::int64_t fresh_ms = 0;  // how long a client may keep what `server/discover` said
};

using Sink = std::function<void(std::string_view line)>;

class Server {
 public:
  // `backend` must outlive the Server.
  Server(Identity identity, Backend& backend, Sink sink);
  ~Server();  // as close()
  Server(Server&&) noexcept;
  Server& operator=(Server&&) = delete;

  // Any cut of the input. A line longer than limits::kMcpLineBytesMax is answered once and skipped.
  void feed(std::string_view bytes);

  // What happened at the backend. Reaches whoever asked for it, and nobody else.
  void progress(Number number, const Progress& progress);
  // Of a task whose client asked for progress when it made it (before 2026-07-28).
  void task_progress(std::string_view task, const Progress& progress);
  void task_changed(const TaskRecord& task);
  void tools_changed();
  void resources_changed();
  void resource_updated(std::string_view uri);

  // Orderly stop: ends every subscription with its result. Requests are still answered.
  void end_subscriptions();
  // The input ended: cancels at the backend what is unanswered. Nothing is sent from here on.
  void close();

 private:
  class Connection;
  std::shared_ptr<Connection> connection_;
};

}  // namespace taper::mcp
