// The program taper-upstream with a server behind it, and the broker's end of its socket.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/sandbox/builtin/message.h"

namespace taper::testing {

// What fake_server.py calls its tool, as it is pinned.
extern const std::string kEcho;

class Upstream {
 public:
  // Runs `argv`, whose first word is a program's path, as the server.
  explicit Upstream(const std::vector<std::string>& argv);
  ~Upstream();  // kills it, where it still runs
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;
  // tests/unit/upstream/fake_server.py. `log`: a file, or empty.
  static std::vector<std::string> fake(const std::string& eras, const std::string& mode,
                                       const std::string& log = "");

  void ask(std::vector<authority::InputValue> inputs);
  // Requires that a reply comes. What is told before it is kept.
  sandbox::BuiltinReply reply();
  std::vector<sandbox::ToolProgress> progress;
  // Whether the socket was closed instead; waits for a minute.
  bool closed();
  sandbox::BuiltinReply definitions(const std::string& era);
  sandbox::BuiltinReply call(const std::string& era,
                             const std::string& arguments = R"({"text":"a"})",
                             const std::string& pinned = kEcho, std::int64_t timeout_ms = 20'000,
                             const std::vector<authority::InputValue>& more = {});
  sandbox::BuiltinReply call_with_meta(const std::string& era, const std::string& meta);
  void send(ByteSpan bytes);
  // Closes the socket and waits; the exit status, or 1000 + the signal.
  int finish();

 private:
  Fd socket_;
  pid_t child_ = -1;
};

// The field of that name as text; "true" and "false" for a boolean; empty: there is none.
std::string field(const sandbox::BuiltinReply& reply, const std::string& name);
// The text of the first block of a result, which the call must have had.
std::string echoed(const sandbox::BuiltinReply& reply);
// "CODE field", and what was expected and got where there is any.
std::string told(const sandbox::BuiltinReply& reply);

}  // namespace taper::testing
