// Where a verb reads a log: an exported file, or a node's state. Nothing here verifies it.
#pragma once

#include <functional>
#include <string>

#include "capsules/value.h"
#include "store/audit_verify.h"
#include "tools/taper/command.h"

namespace taper::tools {

struct LogSource {
  std::string file, state;

  // FILE and --state, of which one must be given.
  void add_to(CLI::App* verb);
  // Oldest first; the first error that `visit` returns ends it.
  Status read(const std::function<Status(const store::LogRecord&)>& visit) const;
};

// For people: that a node has forgotten so many records, and where they are.
std::string forgotten_text(std::uint64_t records);

// Its JSON; null where it is none.
capsules::Value body_of(const store::LogRecord& record);
// A member of a record that is a text; empty where it has none.
std::string_view member(const capsules::Value& body, std::string_view name);
// Whether it is about the task: its own, or one that a restart found.
bool is_about(const capsules::Value& body, const std::string& task);

}  // namespace taper::tools
