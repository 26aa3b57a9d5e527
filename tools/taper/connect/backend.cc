#include "tools/taper/connect/backend.h"

#include <algorithm>
#include <utility>

#include "runtime/base/limits.h"
#include "tools/taper/connect/describe.h"

namespace taper::tools {
namespace {

using broker::Ask;
using broker::SessionRequest;
using mcp::Done;
using mcp::Number;
using mcp::Outcome;
using mcp::TaskRecord;

constexpr std::int64_t kInvalidParams = -32602;  // of JSON-RPC

// A handle as it was given out, else none: no other spelling names it.
std::optional<SessionRequest> about(Ask ask, const std::string& task) {
  const std::optional<CallId> call = CallId::from_hex(task);
  if (!call || call->is_zero() || call->hex() != task) return std::nullopt;
  SessionRequest request;
  request.ask = ask;
  request.call = *call;
  return request;
}

Outcome<TaskRecord> task_of(const Answer& answer) { return read_as<TaskRecord>(answer, read_task); }

// The record with what the task made; whoever may not read that is told so in its place.
Outcome<TaskRecord> with_result(TaskRecord task, const Answer& answer) {
  if (const auto* denial = std::get_if<mcp::Denial>(&answer)) {
    task.payload = mcp::as_result(*denial);
    return task;
  }
  return task_of(answer);
}

bool lacks_result(const TaskRecord& task) {
  return task.status == mcp::TaskStatus::completed &&
         std::holds_alternative<std::monostate>(task.payload);
}

mcp::RpcError foreign_state() { return {kInvalidParams, std::string(mcp::kForeignState), {}}; }

authority::Input offered(mcp::Input input) {
  static_assert(static_cast<int>(mcp::Input::urls) == static_cast<int>(authority::Input::urls));
  return static_cast<authority::Input>(input);
}

std::optional<mcp::Called> read_called(const mcp::Json& body, Ask ask) {
  if (ask == Ask::create) return read_task(body);
  if (auto input = read_input_required(body)) return std::move(*input);
  return read_result(body);
}

// To a client, a tool that is not granted does not exist.
Outcome<mcp::Called> called(const Answer& answer, Ask ask) {
  const auto* denial = std::get_if<mcp::Denial>(&answer);
  if (denial != nullptr && denial->code == describe(Code::tool_not_granted).number)
    return mcp::as_error(*denial, kInvalidParams, "Unknown tool");
  const auto* refusal = std::get_if<mcp::Refusal>(&answer);
  if (refusal != nullptr && *refusal == mcp::Refusal::unknown_task) return foreign_state();
  return read_as<mcp::Called>(answer,
                              [ask](const mcp::Json& body) { return read_called(body, ask); });
}

// Of a request's `_meta`. Nothing else in there goes further: it may be a credential.
broker::TraceContext trace_of(std::string_view source) {
  const std::optional<mcp::Object> meta = mcp::Object::read(source.empty() ? "{}" : source);
  if (!meta) return {};
  const auto text = [&meta](const char* name) { return meta->string(name).value_or(""); };
  return broker::fit({text("traceparent"), text("tracestate"), text("baggage")});
}

std::string_view word(Ask ask) {
  switch (ask) {
    case Ask::describe: return "describe";
    case Ask::discover: return "discover";
    case Ask::call: return "call";
    case Ask::create: return "create";
    case Ask::poll: return "poll";
    case Ask::result: return "result";
    case Ask::update: return "update";
    case Ask::cancel: return "cancel";
    case Ask::abandon: return "abandon";
    case Ask::close: return "close";
    case Ask::unset: break;
  }
  return "";
}

}  // namespace

SessionRequest plain(Ask ask) {
  SessionRequest request;
  request.ask = ask;
  return request;
}

ConnectBackend::ConnectBackend(Asker& asker, const Clock& clock, Note note)
    : asker_(asker), clock_(clock), note_(std::move(note)) {}

void ConnectBackend::note(const SessionRequest& request, const Replied& replied) const {
  const std::string why = trouble_line(replied);
  if (why.empty()) return;
  const bool refused = std::get<broker::SessionReply>(replied).code != Code::ok;
  std::string line = (refused ? "refused: " : "failed: ") + std::string(word(request.ask));
  if (!request.tool.empty()) line += " of " + request.tool;
  note_(line + ": " + why);
}

void ConnectBackend::ask(Number number, SessionRequest request, Take take) {
  const Asker::Ticket ticket = ++last_ticket_;
  tickets_[number] = ticket;
  asker_.ask(ticket, request, [this, number, ticket, request, take](const Replied& replied) {
    const auto found = tickets_.find(number);
    if (found == tickets_.end() || found->second != ticket) return;
    tickets_.erase(found);
    note(request, replied);
    take(read_reply(replied));
  });
}

void ConnectBackend::ask(SessionRequest request, Take take) {
  asker_.ask(++last_ticket_, request, [this, request, take](const Replied& replied) {
    note(request, replied);
    take(read_reply(replied));
  });
}

void ConnectBackend::cancel(Number number) {
  undecided_.erase(number);
  subscriptions_.erase(number);
  const auto found = tickets_.find(number);
  if (found == tickets_.end()) return;
  const Asker::Ticket ticket = found->second;
  tickets_.erase(found);
  asker_.abandon(ticket);
}

void ConnectBackend::with_tools(std::function<void(const Tools&)> use) {
  const std::int64_t now_ms = clock_.now().boot_ms;
  if (tools_ && now_ms < tools_->until_ms) {
    mcp::Listed<mcp::Tool> listed = tools_->listed;
    listed.fresh_ms = tools_->until_ms - now_ms;
    return use(listed);
  }
  want_tools_.push_back(std::move(use));
  if (want_tools_.size() > 1) return;
  ask(plain(Ask::discover), [this](const Answer& answer) {
    const Tools tools = read_as<mcp::Listed<mcp::Tool>>(answer, read_tools);
    tools_.reset();
    if (const auto* listed = std::get_if<mcp::Listed<mcp::Tool>>(&tools))
      tools_ = Kept{*listed, clock_.now().boot_ms + listed->fresh_ms};
    for (const auto& wants : std::exchange(want_tools_, {})) wants(tools);
  });
}

void ConnectBackend::list_tools(Number /*number*/, Done<mcp::Listed<mcp::Tool>> done) {
  with_tools(std::move(done));
}

// Who insists on a task gets one, or hears that the tool makes none. Who can take one gets one from
// a tool that may run long, which is what the node says of it.
void ConnectBackend::call_tool(Number number, mcp::ToolCall call, Done<mcp::Called> done) {
  if (call.task == mcp::TaskWish::never || call.state)
    return start(number, Ask::call, call, std::move(done));
  undecided_.insert(number);
  with_tools([this, number, call = std::move(call), done = std::move(done)](const Tools& tools) {
    if (undecided_.erase(number) == 0) return;
    const auto* listed = std::get_if<mcp::Listed<mcp::Tool>>(&tools);
    bool known = false;
    bool may = false;
    for (const mcp::Tool& tool : listed != nullptr ? listed->items : std::vector<mcp::Tool>()) {
      if (tool.name != call.name) continue;
      known = true;
      may = tool.task_support != mcp::TaskSupport::forbidden;
    }
    const bool insists = call.task == mcp::TaskWish::insist;
    if (insists && known && !may) return done(mcp::Refusal::never_task);
    start(number, insists || may ? Ask::create : Ask::call, call, done);
  });
}

void ConnectBackend::start(Number number, Ask as, const mcp::ToolCall& call,
                           Done<mcp::Called> done) {
  std::optional<SessionRequest> wanted = call.state ? about(as, *call.state) : plain(as);
  if (!wanted) return done(foreign_state());
  SessionRequest request = std::move(*wanted);
  request.responses = to_bytes(as_bytes(call.responses));
  request.input = offered(call.input);
  request.tool = call.name;
  request.arguments = to_bytes(as_bytes(call.arguments));
  if (as == Ask::create) request.ttl_ms = call.ttl_ms;
  request.trace = trace_of(call.meta);
  // Since 2026-07-28 a task is told no progress of.
  request.progress = call.wants_progress && (as == Ask::call || call.task == mcp::TaskWish::insist);
  ask(number, std::move(request), [this, as, done = std::move(done)](const Answer& answer) {
    done(called(answer, as));
    if (server_ != nullptr) server_->resource_updated(kTaskUri);  // a call changes what is left
  });
}

void ConnectBackend::list_resources(Number /*number*/, Done<mcp::Listed<mcp::Resource>> done) {
  done(mcp::Listed<mcp::Resource>{{task_resource()}, 0});
}

void ConnectBackend::list_templates(Number /*number*/, Done<mcp::Listed<mcp::Resource>> done) {
  done(mcp::Listed<mcp::Resource>{});
}

void ConnectBackend::read_resource(Number number, std::string uri, Done<mcp::ReadResource> done) {
  if (uri != kTaskUri) return done(mcp::Refusal::unknown_resource);
  ask(number, plain(Ask::describe), [done = std::move(done)](const Answer& answer) {
    done(read_as<mcp::ReadResource>(answer, read_description));
  });
}

void ConnectBackend::get_task(Number number, std::string task, mcp::TaskView view,
                              Done<TaskRecord> done) {
  std::optional<SessionRequest> poll = about(Ask::poll, task);
  if (!poll) return done(mcp::Refusal::unknown_task);
  ask(number, *poll, [this, number, task, view, done = std::move(done)](const Answer& answer) {
    const Outcome<TaskRecord> polled = task_of(answer);
    const auto* record = std::get_if<TaskRecord>(&polled);
    if (record == nullptr || view == mcp::TaskView::status || !lacks_result(*record))
      return done(polled);
    ask(number, *about(Ask::result, task),
        [record = *record, done](const Answer& result) { done(with_result(record, result)); });
  });
}

void ConnectBackend::await_task(Number number, std::string task, Done<TaskRecord> done) {
  std::optional<SessionRequest> result = about(Ask::result, task);
  if (!result) return done(mcp::Refusal::unknown_task);
  ask(number, std::move(*result),
      [done = std::move(done)](const Answer& answer) { done(task_of(answer)); });
}

void ConnectBackend::update_task(Number number, std::string task, std::string responses,
                                 mcp::Input input, Done<std::monostate> done) {
  std::optional<SessionRequest> update = about(Ask::update, task);
  if (!update) return done(mcp::Refusal::unknown_task);
  update->arguments = to_bytes(as_bytes(responses));
  update->input = offered(input);
  ask(number, std::move(*update), [done = std::move(done)](const Answer& answer) {
    done(read_as<std::monostate>(answer, [](const mcp::Json& body) {
      return read_task(body) ? std::optional(std::monostate()) : std::nullopt;
    }));
  });
}

void ConnectBackend::cancel_task(Number number, std::string task, Done<TaskRecord> done) {
  std::optional<SessionRequest> cancel = about(Ask::cancel, task);
  if (!cancel) return done(mcp::Refusal::unknown_task);
  ask(number, std::move(*cancel), [this, done = std::move(done)](const Answer& answer) {
    const Outcome<TaskRecord> outcome = task_of(answer);
    const auto* record = std::get_if<TaskRecord>(&outcome);
    const bool ended =
        record != nullptr && mcp::is_terminal(record->status) &&
        (record->status != mcp::TaskStatus::cancelled || !remember_cancelled(record->id));
    if (ended) return done(mcp::Refusal::already_ended);
    done(outcome);
  });
}

bool ConnectBackend::remember_cancelled(const std::string& task) {
  if (cancelled_.size() >= limits::kMcpTasksFollowedMax) cancelled_.clear();
  return cancelled_.insert(task).second;
}

// What a subscription still waits for: each task is asked after, so that only its own holder is
// ever granted one.
struct ConnectBackend::Subscribing {
  std::size_t left = 0;
  Done<mcp::Interests> done;
  std::vector<TaskRecord> ended;  // before anybody could be told
};

void ConnectBackend::subscribe(Number number, mcp::Interests wanted, Done<mcp::Interests> done) {
  mcp::Interests granted{wanted.tools, wanted.resources, {}, {}};
  if (std::find(wanted.uris.begin(), wanted.uris.end(), kTaskUri) != wanted.uris.end())
    granted.uris = {std::string(kTaskUri)};
  subscriptions_[number] = granted;
  if (wanted.tasks.empty()) return done(granted);
  const auto asked = std::make_shared<Subscribing>();
  asked->left = wanted.tasks.size();
  asked->done = std::move(done);
  for (const std::string& task : wanted.tasks) look_up(number, task, asked);
}

void ConnectBackend::look_up(Number number, const std::string& task,
                             const std::shared_ptr<Subscribing>& asked) {
  const auto found = [this, number, asked](const Outcome<TaskRecord>& outcome) {
    const auto one = subscriptions_.find(number);
    if (one == subscriptions_.end()) return;
    if (const auto* record = std::get_if<TaskRecord>(&outcome)) {
      one->second.tasks.push_back(record->id);
      if (mcp::is_terminal(record->status)) asked->ended.push_back(*record);
    }
    if (--asked->left > 0) return;
    asked->done(one->second);
    for (const TaskRecord& ended : asked->ended) tell(ended);
  };
  std::optional<SessionRequest> poll = about(Ask::poll, task);
  if (!poll) return found(mcp::Refusal::unknown_task);
  ask(std::move(*poll), [found](const Answer& answer) { found(task_of(answer)); });
}

bool ConnectBackend::is_subscribed(const std::string& task) const {
  return std::any_of(subscriptions_.begin(), subscriptions_.end(), [&](const auto& entry) {
    const std::vector<std::string>& tasks = entry.second.tasks;
    return std::find(tasks.begin(), tasks.end(), task) != tasks.end();
  });
}

// A subscriber is told the whole of it, which takes reading the result.
void ConnectBackend::tell(const TaskRecord& task) {
  if (server_ == nullptr) return;
  if (!lacks_result(task) || !is_subscribed(task.id)) return server_->task_changed(task);
  const std::optional<SessionRequest> result = about(Ask::result, task.id);
  if (!result) return server_->task_changed(task);
  ask(*result, [this, task](const Answer& answer) {
    const Outcome<TaskRecord> whole = with_result(task, answer);
    const auto* record = std::get_if<TaskRecord>(&whole);
    server_->task_changed(record != nullptr ? *record : task);
  });
}

void ConnectBackend::progressed(Asker::Ticket ticket, const broker::SessionEvent& event) {
  const std::optional<mcp::Json> body = mcp::Json::parse(event.body);
  const auto progress = body ? read_progress(*body) : std::nullopt;
  const auto found =
      std::ranges::find(tickets_, ticket, [](const auto& one) { return one.second; });
  if (progress && server_ != nullptr && found != tickets_.end())
    server_->progress(found->first, *progress);
}

void ConnectBackend::happened(const broker::SessionEvent& event) {
  const std::optional<mcp::Json> body = mcp::Json::parse(event.body);
  if (const auto progress = body ? read_progress(*body) : std::nullopt) {
    if (server_ != nullptr) server_->task_progress(event.call.hex(), *progress);
    return;
  }
  const std::optional<TaskRecord> task = body ? read_task(*body) : std::nullopt;
  if (!task || server_ == nullptr) return;
  tell(*task);
  server_->resource_updated(kTaskUri);
}

void ConnectBackend::reopened() {
  tools_.reset();
  if (server_ == nullptr) return;
  server_->tools_changed();
  server_->resource_updated(kTaskUri);
  // What ended meanwhile was told to nobody.
  std::set<std::string> tasks;
  for (const auto& [number, one] : subscriptions_) tasks.insert(one.tasks.begin(), one.tasks.end());
  for (const std::string& task : tasks) {
    const std::optional<SessionRequest> poll = about(Ask::poll, task);
    if (!poll) continue;
    ask(*poll, [this](const Answer& answer) {
      const Outcome<TaskRecord> polled = task_of(answer);
      if (const auto* record = std::get_if<TaskRecord>(&polled)) tell(*record);
    });
  }
}

}  // namespace taper::tools
