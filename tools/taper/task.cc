#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "crypto/key_file.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "store/auditor/log_record.h"
#include "tools/taper/keys.h"
#include "tools/taper/log_source.h"
#include "tools/taper/order_text.h"
#include "tools/taper/story.h"
#include "tools/taper/task_show.h"

namespace taper::tools {
namespace {

struct Named {
  std::string state, id;
};

Status task_list(const std::string& state, Output& out) {
  TAPER_TRY(const std::vector<authority::TaskView> tasks, broker::task_list(state));
  capsules::Array list;
  for (const authority::TaskView& view : tasks) {
    out.line(view.task.hex() + "  " + state_words(view) + "  " + escape_text(view.agent) +
             "  activated " + format_utc_s(view.activated_s) + "  " + lease_words(view));
    list.push_back(task_value(view));
  }
  if (tasks.empty()) out.line("no tasks yet");
  out.set("tasks", std::move(list));
  return success();
}

Status task_show(const Named& options, Output& out) {
  TAPER_TRY(const TaskId id, task_option(options.id));
  TAPER_TRY(const authority::TaskView view, broker::task_show(options.state, id));
  TAPER_TRY(const std::vector<broker::LoggedRecord> records, broker::task_log(options.state, id));
  Story story(id);
  for (const broker::LoggedRecord& record : records)
    TAPER_CHECK(story.see(store::to_record(record.number, record.record)));
  capsules::Object document = task_value(view);
  document.emplace_back("story", story.value());
  out.set_document(capsules::write_canonical(std::move(document)));
  show_task(view, out);
  story.tell_events(out);
  // Of a live task nothing is forgotten, and every story begins with an activation.
  TAPER_TRY(const store::LogFloor floor, broker::log_floor(options.state));
  const bool whole =
      !records.empty() && store::to_record(0, records.front().record).type ==
                              static_cast<std::uint16_t>(store::LeafType::activation);
  if (floor.kept > 0 && !whole) out.note(forgotten_text(floor.kept));
  return success();
}

Status task_kill(const Named& options, Output& out) {
  TAPER_TRY(const TaskId id, task_option(options.id));
  TAPER_CHECK(broker::task_kill(options.state, id));
  out.line("killed " + id.hex());
  out.set("task", id.hex());
  out.set("killed", true);
  return success();
}

Status task_cancel(const Named& options, Output& out) {
  TAPER_TRY(const TaskId id, task_option(options.id));
  TAPER_CHECK(broker::task_cancel(options.state, id));
  out.line("cancelled " + id.hex());
  out.set("task", id.hex());
  out.set("cancelled", true);
  return success();
}

struct Reading {
  std::string state, task, step, key, file;
  PassphraseOptions passphrase;
};

// The file that a result goes to: there before the read counts, gone again where it did not come to
// that.
class Target {
 public:
  explicit Target(std::string path) : path_(std::move(path)) {}
  ~Target() {
    if (file_ && !whole_) ::unlink(path_.c_str());
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  Status make(std::size_t bytes) {
    file_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file_ && errno == EEXIST) return Error(Code::file_exists, {path_, "", "", ""});
    if (!file_) return Error(Code::file_unreadable, {path_, "", std::strerror(errno), ""});
    // Some file systems know no such thing; they tell when the bytes come.
    const int room = ::posix_fallocate(file_.get(), 0, static_cast<off_t>(bytes));
    return room == ENOSPC || room == EDQUOT || room == EFBIG ? os_error("write " + path_, room)
                                                             : success();
  }
  Status write(std::string_view text) {
    TAPER_CHECK(write_all(file_.get(), path_, as_bytes(text)));
    if (::fsync(file_.get()) != 0) return os_error("write " + path_, errno);
    whole_ = true;
    const std::size_t slash = path_.rfind('/');
    return sync_directory(slash == std::string::npos ? "." : path_.substr(0, slash + 1));
  }

 private:
  std::string path_;
  Fd file_;
  bool whole_ = false;
};

Status say_result(const broker::TaskResult& result, const Reading& options, Output& out) {
  capsules::Object document{{"task", options.task},
                            {"step", text_value(result.step)},
                            {"reads_left", std::int64_t{result.reads_left}}};
  if (!options.file.empty()) {
    out.line("wrote " + escape_text(options.file) + ", the result of step " +
             escape_text(result.step));
    document.emplace_back("file", text_value(options.file));
  } else {
    out.line(escape_text(result.json));
    Result<capsules::Value> value =
        capsules::parse_value(as_bytes(result.json), limits::kResultBytesMax);
    if (value.ok()) document.emplace_back("result", std::move(*value));
  }
  if (out.json) out.stream_json(capsules::write_canonical(std::move(document)));
  return out.written();
}

Status task_result(const Reading& options, Output& out) {
  TAPER_TRY(const TaskId task, task_option(options.task));
  TAPER_TRY(const crypto::SigningKey key,
            open_key(options.key, crypto::Role::holder, options.passphrase));
  Target target(options.file);
  broker::ResultQuery query{.state = options.state,
                            .task = task,
                            .step = options.step,
                            .reader = key.public_key(),
                            .prove = [&key](ByteSpan statement) {
                              return key.sign(crypto::statement::kResultRead, statement);
                            }};
  if (!options.file.empty()) query.prepare = [&](std::size_t bytes) { return target.make(bytes); };
  TAPER_TRY(const broker::TaskResult result, broker::task_result(query));
  const bool to_file = !options.file.empty();
  Status written = to_file ? target.write(result.json) : say_result(result, options, out);
  out.note("reads left: " + std::to_string(result.reads_left));
  // A read whose bytes were lost is spent all the same: part of them may have got through.
  TAPER_CHECK(std::move(written));
  TAPER_CHECK(broker::erase_read_result(options.state, task, result));
  return to_file ? say_result(result, options, out) : success();
}

Status why(const Named& options, Output& out) {
  const std::optional<DecisionId> id = DecisionId::from_hex(options.id);
  if (!id)
    return usage_error("DECISION", "16 hex digits, as 'taper task show' prints them", options.id);
  TAPER_TRY(const authority::DecisionView view, broker::why(options.state, *id));
  capsules::Array answers;
  for (const authority::Answer& answer : view.answers) {
    std::string line =
        (answer.passed ? "yes  " : coloured("NO", kRed) + "   ") + escape_text(answer.question);
    if (!answer.expected.empty()) line += "; expected " + escape_text(answer.expected);
    if (!answer.got.empty()) line += "; got " + escape_text(answer.got);
    out.line(line);
    answers.push_back(capsules::Object{{"question", text_value(answer.question)},
                                       {"passed", answer.passed},
                                       {"expected", text_value(answer.expected)},
                                       {"got", text_value(answer.got)}});
  }
  Result<capsules::Value> record =
      capsules::parse_value(as_bytes(view.record), limits::kAuditRecordBytesMax);
  out.set("decision", id->hex());
  out.set("answers", std::move(answers));
  if (record.ok()) out.set("record", std::move(*record));
  return success();
}

CLI::App* add_named(Command& command, CLI::App* parent, const std::string& name,
                    const std::string& about, const std::string& example, const std::string& what,
                    Status (*act)(const Named&, Output&)) {
  auto options = std::make_shared<Named>();
  CLI::App* verb = command.verb(parent, name, about, example,
                                [&command, options, act] { return act(*options, command.out); });
  verb->add_option(what, options->id, "Its id, in hex")->required();
  verb->add_option("--state", options->state, "The node's state")->required();
  return verb;
}

}  // namespace

Result<TaskId> task_option(const std::string& text) {
  const std::optional<TaskId> id = TaskId::from_hex(text);
  if (!id) return usage_error("TASK", "32 hex digits, as 'taper task list' prints them", text);
  return *id;
}

void add_task_verbs(Command& command) {
  CLI::App* task = command.group("task", "The tasks of this node");
  auto state = std::make_shared<std::string>();
  CLI::App* list =
      command.verb(task, "list", "List live and ended tasks", "taper task list --state ./state",
                   [&command, state] { return task_list(*state, command.out); });
  list->add_option("--state", *state, "The node's state")->required();
  add_named(command, task, "show",
            "Show one task: whose it is, what it may do now and at each stage, what ends it",
            "taper task show 3f0c… --state ./state", "TASK", task_show);
  add_named(command, task, "cancel", "End a live task now and kill its tools; success is durable",
            "taper task cancel 3f0c… --state ./state", "TASK", task_cancel);
  add_named(command, task, "kill",
            "Revoke a live task now, as its operator, and kill its tools; success is durable",
            "taper task kill 3f0c… --state ./state", "TASK", task_kill);
  add_order_verb(command, task);
  auto reading = std::make_shared<Reading>();
  CLI::App* result =
      command.verb(task, "result", "Read a result that an ended task keeps for its readers",
                   "taper task result 3f0c… read --key reader.key --state ./state",
                   [&command, reading] { return task_result(*reading, command.out); });
  result->add_option("TASK", reading->task, "Its id, in hex")->required();
  result->add_option("STEP", reading->step, "The step, or one item of it: read[3]; else the last");
  result->add_option("--key", reading->key, "The reader's key file")->required();
  result->add_option("--state", reading->state, "The node's state")->required();
  result->add_option("--out", reading->file, "Write it to this file, which must not exist");
  reading->passphrase.add_to(result);
  add_named(command, &command.app, "why", "Say why a call was allowed or refused",
            "taper why 9b1d… --state ./state", "DECISION", why);
}

}  // namespace taper::tools
