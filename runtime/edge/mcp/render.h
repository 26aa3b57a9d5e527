// What the backend answered, as the results of each revision. A field that a revision does not know
// is left out, so that strict clients accept every message.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/edge/mcp/backend.h"
#include "runtime/edge/mcp/message.h"
#include "runtime/edge/mcp/server.h"
#include "runtime/edge/mcp/version.h"

namespace taper::mcp {

// For whom a result is made.
struct Target {
  Version version;
  const Identity& identity;
};

// A result with what its revision demands of every one: `resultType` and `serverInfo` since
// 2026-07-28, nothing before.
class ResultWriter {
 public:
  explicit ResultWriter(Target target, std::string_view type = "complete");

  ObjectWriter& body() { return body_; }
  ObjectWriter& meta() { return meta_; }
  // How long it may be kept. Nothing before 2026-07-28.
  ResultWriter& fresh(std::int64_t ms);
  ResultWriter& remaining(const Json& remaining);
  Json end() &&;

 private:
  Target target_;
  ObjectWriter body_;
  ObjectWriter meta_;
};

Json render_discover(const Identity& identity);
Json render_initialize(Target target);

// A part of a list, and where the next begins.
template <class T>
struct Page {
  const std::vector<T>& all;
  std::size_t from = 0;
  std::size_t to = 0;
  std::int64_t fresh_ms = 0;
  std::string next;  // empty: this was the last
};
Json render_tools(Target target, const Page<Tool>& page);
Json render_resources(Target target, const Page<Resource>& page);
Json render_templates(Target target, const Page<Resource>& page);
Json render_prompts(Target target);  // there are none
Json render_read(Target target, const ReadResource& read);

// With `related` set the result names the task that it belongs to.
Json render_call(Target target, const ToolResult& result,
                 const std::optional<std::string>& related = std::nullopt);

// Since 2026-07-28.
Json render_input_required(Target target, const InputRequired& input);

Json render_created_task(Target target, const TaskRecord& task);
Json render_task(Target target, const TaskRecord& task);
// The parameters of a notification of its state. `subscription` is empty before 2026-07-28.
Json render_task_changed(Target target, const TaskRecord& task,
                         const std::optional<Id>& subscription);

// What is left of `code` after removing the numbers that only the protocol itself may give.
std::int64_t foreign_code(std::int64_t code);

}  // namespace taper::mcp
