// A task's life told from records of the log alone: what was activated, every call with its
// decision and outcome, an agent's program, what ended it and when.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/audit_verify.h"
#include "tools/taper/output.h"

namespace taper::tools {

class Story {
 public:
  explicit Story(const TaskId& task) : task_(task.hex()) {}

  // To be shown every record in its order; those of other tasks are passed over.
  // Error: too_large.
  Status see(const store::LogRecord& record);

  bool found() const { return !events_.empty(); }
  // The task's identity and how it went as one document: docs/CLI.md, "taper audit explain".
  capsules::Object value() const;
  void tell_identity(const Output& out) const;
  // A line for each record.
  void tell_events(const Output& out) const;

 private:
  struct Event {
    std::uint64_t number = 0;
    std::string type;
    capsules::Value body;
  };
  capsules::Array calls() const;
  const Event* first(std::string_view type) const;

  std::string task_;
  std::vector<Event> events_;
  std::size_t bytes_ = 0;
};

}  // namespace taper::tools
