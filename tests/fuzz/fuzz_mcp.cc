// links: taper_mcp
// Bytes of an MCP client, in any cut. Whatever comes in, only whole messages go out; a call's
// arguments reach the backend as they stood.
#include <map>
#include <string>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/edge/mcp/server.h"
#include "tests/fuzz/planted.h"

namespace {

using namespace taper;
using namespace taper::mcp;

// Answers at once, in turn with each kind of answer that is allowed.
class Quick : public Backend {
 public:
  explicit Quick(std::string_view input) : input_(input) {}

  void list_tools(Number /*number*/, Done<Listed<Tool>> done) override {
    done(Listed<Tool>{{{"t", "T", "d", *Json::parse("{}"), {}, {}, TaskSupport::optional}}, 1});
  }
  void call_tool(Number number, ToolCall call, Done<Called> done) override {
    // A line with this text in it came in, with carriage returns and all.
    TAPER_ASSERT(call.arguments == "{}" || input_.find(call.arguments) != input_.npos);
    TAPER_ASSERT(call.meta.empty() || input_.find(call.meta) != input_.npos);
    TAPER_ASSERT(is_valid_json(call.arguments) && call.arguments.starts_with('{'));
    // A name that no file of the corpus has.
    fuzz::planted_bug(call.name != "t" && call.name != "tool");
    if (number % 7 == 0) return waiting_.push_back(std::move(done));
    if (number % 5 == 0) return done(Denial{504, call.name, {}});
    if (call.task != TaskWish::never && number % 2 == 0) return done(Called(task(call.name)));
    if (call.task == TaskWish::insist) return done(Refusal::never_task);
    ToolResult told;
    told.content = text_content(call.arguments);
    told.meta = Json::parse(call.meta).value_or(Json());
    done(Called(told));
    done(Called(told));
  }
  void list_resources(Number /*number*/, Done<Listed<Resource>> done) override {
    done(Listed<Resource>{{{"a:b", "n", "", "", ""}}, 1});
  }
  void list_templates(Number /*number*/, Done<Listed<Resource>> done) override {
    done(Refusal::internal);
  }
  void read_resource(Number /*number*/, std::string uri, Done<ReadResource> done) override {
    done(ReadResource{{{uri, "", uri}, {uri, "", Bytes(uri.begin(), uri.end())}}, 1, {}});
  }
  void get_task(Number number, std::string id, TaskView /*view*/, Done<TaskRecord> done) override {
    if (number % 2 == 0) return done(Refusal::unknown_task);
    done(task(id));
  }
  void await_task(Number /*number*/, std::string id, Done<TaskRecord> done) override {
    done(task(id));
  }
  void update_task(Number /*number*/, std::string /*id*/, std::string responses, Input /*input*/,
                   Done<std::monostate> done) override {
    TAPER_ASSERT(input_.find(responses) != input_.npos);
    done(std::monostate());
  }
  void cancel_task(Number /*number*/, std::string id, Done<TaskRecord> done) override {
    done(task(id));
  }
  void subscribe(Number /*number*/, Interests wanted, Done<Interests> done) override {
    TAPER_ASSERT(wanted.uris.size() <= limits::kMcpInterestsMax);
    done(wanted);
  }
  void unsubscribe(Number /*number*/) override {}
  void cancel(Number /*number*/) override {}

  static TaskRecord task(const std::string& id) {
    TaskRecord record;
    record.id = id;
    record.message = id;
    return record;
  }

 private:
  std::string_view input_;
  std::vector<Done<Called>> waiting_;
};

void check_line(std::string_view line) {
  TAPER_ASSERT(line.ends_with('\n') && line.find('\n') == line.size() - 1);
  line.remove_suffix(1);
  TAPER_ASSERT(is_valid_json(line));
  const auto message = Object::read(line);
  TAPER_ASSERT(message && message->string("jsonrpc") == "2.0");
  const int kinds = (message->find("result") ? 1 : 0) + (message->find("error") ? 1 : 0) +
                    (message->find("method") ? 1 : 0);
  TAPER_ASSERT(kinds == 1);
  const auto id = message->find("id");
  TAPER_ASSERT(!id || kind_of(*id) == Kind::string || read_integer(*id) || id->size() > 18);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Quick backend(input);
  Server server({"taper", "", "1", "", 0}, backend, check_line);
  // The first byte says how the rest is cut.
  const std::size_t part =
      size == 0 || data[0] >= 0x20 ? std::max<std::size_t>(size, 1) : std::size_t{data[0]} + 1;
  for (std::size_t at = 0; at < size; at += part) {
    server.feed(input.substr(at, part));
    server.progress(at, {double(at), {}, "m"});
    server.task_changed(Quick::task("t"));
    server.task_progress("t", {double(at), 1.0, ""});
    server.tools_changed();
    server.resource_updated("a:b");
  }
  server.feed("\n");
  server.end_subscriptions();
  server.close();
  return 0;
}
