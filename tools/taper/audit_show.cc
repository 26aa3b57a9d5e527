#include <algorithm>
#include <memory>
#include <set>

#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/log_filter.h"
#include "tools/taper/story.h"

namespace taper::tools {
namespace {

constexpr std::size_t kTasksMax = 1'000'000;
constexpr std::string_view kUnverified = "not verified here: 'taper audit verify' does that";

struct Show {
  LogSource source;
  LogFilter filter;
  bool whole = false;
};

struct Explained {
  LogSource source;
  std::string task;
};

void print(const store::LogRecord& record, capsules::Value body, Output& out) {
  if (!out.json) {
    out.line(std::to_string(record.number) + "  " + escape_text(record.type_name) + "  " +
             escape_text(record.body));
    return;
  }
  if (body.is_null()) body = text_value(record.body);
  out.stream_json(capsules::write_canonical(
      capsules::Object{{"number", static_cast<std::int64_t>(record.number)},
                       {"type", text_value(record.type_name)},
                       {"body", std::move(body)}}));
}

// How many records the node has forgotten since they were released. An exported file forgets none.
Result<std::uint64_t> forgotten(const LogSource& source, Output& out) {
  if (source.state.empty()) return std::uint64_t{0};
  TAPER_TRY(const store::LogFloor floor, broker::log_floor(source.state));
  if (floor.kept > 0) out.note(forgotten_text(floor.kept));
  return floor.kept;
}

using Tasks = std::set<std::string, std::less<>>;

// The tasks of the records that match.
Result<Tasks> tasks_of(const Show& options) {
  TAPER_TRY(LogMatcher matcher, LogMatcher::make(options.filter));
  Tasks tasks;
  TAPER_CHECK(options.source.read([&](const store::LogRecord& record) -> Status {
    if (!matcher.may_match(record.body)) return success();
    const capsules::Value body = body_of(record);
    TAPER_TRY(const bool matches, matcher.matches(body));
    const std::string_view task = member(body, "task");
    if (matches && !task.empty()) tasks.emplace(task);
    if (tasks.size() <= kTasksMax) return success();
    return Error(Code::too_large, {"tasks that match", "at most " + std::to_string(kTasksMax),
                                   "more", "ask for less with --since and --until"});
  }));
  return tasks;
}

// Its own task, or one that a restart found.
bool is_of(const capsules::Value& body, const Tasks& tasks) {
  if (tasks.contains(member(body, "task"))) return true;
  const capsules::Value* found = body.find("tasks");
  return found != nullptr && found->array() != nullptr &&
         std::ranges::any_of(*found->array(), [&tasks](const capsules::Value& one) {
           return tasks.contains(member(one, "task"));
         });
}

// Both answer how many were printed.
Result<std::uint64_t> show_whole(const Show& options, Output& out) {
  TAPER_TRY(const Tasks tasks, tasks_of(options));
  std::uint64_t shown = 0;
  TAPER_CHECK(options.source.read([&](const store::LogRecord& record) {
    capsules::Value body = body_of(record);
    if (!is_of(body, tasks)) return success();
    print(record, std::move(body), out);
    ++shown;
    return success();
  }));
  return shown;
}

Result<std::uint64_t> show_matching(const Show& options, Output& out) {
  TAPER_TRY(LogMatcher matcher, LogMatcher::make(options.filter));
  const bool all = options.filter.empty();
  std::uint64_t shown = 0;
  TAPER_CHECK(options.source.read([&](const store::LogRecord& record) -> Status {
    if (!matcher.may_match(record.body)) return success();
    capsules::Value body = body_of(record);
    if (!all) {
      TAPER_TRY(const bool matches, matcher.matches(body));
      if (!matches) return success();
    }
    print(record, std::move(body), out);
    ++shown;
    return success();
  }));
  return shown;
}

Status audit_show(const Show& options, Output& out) {
  out.note(std::string(kUnverified));
  TAPER_CHECK(LogMatcher::make(options.filter));  // before anything is printed
  TAPER_CHECK(forgotten(options.source, out));
  out.begin_stream();
  TAPER_TRY(const std::uint64_t shown,
            options.whole ? show_whole(options, out) : show_matching(options, out));
  if (shown > 0) return success();
  const bool arguments = !options.filter.resource.empty() || !options.filter.arguments.empty();
  out.note(std::string("0 records match") +
           (arguments ? R"(; of arguments, digests are kept unless log.arguments = "all")" : ""));
  return success();
}

Status audit_explain(const Explained& options, Output& out) {
  const std::optional<TaskId> task = TaskId::from_hex(options.task);
  if (!task) return usage_error("TASK", "32 hex digits", options.task);
  out.note(std::string(kUnverified));
  TAPER_TRY(const std::uint64_t gone, forgotten(options.source, out));
  Story story(*task);
  TAPER_CHECK(
      options.source.read([&story](const store::LogRecord& record) { return story.see(record); }));
  if (!story.found() && gone > 0)
    return Error(Code::log_pruned, {.field = "task",
                                    .expected = "one of which record " + std::to_string(gone) +
                                                " or a later one tells",
                                    .got = task->hex(),
                                    .fix = ""});
  if (!story.found())
    return Error(Code::unknown_task, {.field = "task",
                                      .expected = "one that the log knows",
                                      .got = task->hex(),
                                      .fix = "'taper audit show' prints the records of all"});
  story.tell_identity(out);
  story.tell_events(out);
  out.set_document(capsules::write_canonical(story.value()));
  return success();
}

}  // namespace

void add_log_verbs(Command& command, CLI::App* audit) {
  auto shown = std::make_shared<Show>();
  CLI::App* show = command.verb(audit, "show", "Print the records; --json prints JSON lines",
                                "taper audit show log.tpa --resource /srv/reports/today.md",
                                [&command, shown] { return audit_show(*shown, command.out); });
  shown->source.add_to(show);
  shown->filter.add_to(show);
  show->add_flag("--whole", shown->whole,
                 "All records of every task of which one matches: the same chain, by whichever of "
                 "its parts it was asked for");

  auto asked = std::make_shared<Explained>();
  CLI::App* explain = command.verb(audit, "explain", "Tell a task's whole story from the log alone",
                                   "taper audit explain 3f0c… log.tpa", [&command, asked] {
                                     return audit_explain(*asked, command.out);
                                   });
  explain->add_option("TASK", asked->task, "Its id, in hex")->required();
  asked->source.add_to(explain);
}

}  // namespace taper::tools
