#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/broker/control_client.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/twins.h"
#include "store/audit_export.h"
#include "store/results.h"

namespace taper::broker {

namespace {

// The owner does what success alone says.
Status done_by(const ControlTalk& owner, const ControlRequest& request, std::int64_t within_ms) {
  TAPER_CHECK(owner.send(request));
  TAPER_TRY(const ControlReply reply, owner.expect<ControlReply>(within_ms));
  if (reply.code == Code::ok) return success();
  return Error(reply.code, reply.detail);
}

// What the message could not bear is not sent.
Status check_size(const std::string& what, ByteSpan file, std::size_t bytes_max) {
  if (file.size() <= bytes_max) return success();
  return Error(Code::too_large, {.field = what,
                                 .expected = "at most " + std::to_string(bytes_max) + " bytes",
                                 .got = std::to_string(file.size()) + " bytes",
                                 .fix = ""});
}

}  // namespace

Result<std::unique_ptr<store::Store>> open_for_reading(const std::string& state) {
  TAPER_TRY(const authority::NodeRecord record, authority::read_node(state));
  return store::open_state({.directory = state,
                            .origin = authority::log_origin(record),
                            .read_only = true,
                            .twins = twins_of(state)});
}

Result<authority::NodeRecord> node_init(const std::string& state, const std::string& name) {
  return authority::create_node(state, name);
}

Result<authority::NodeRecord> node_record(const std::string& state) {
  return authority::read_node(state);
}

Result<Imported> import_root(const std::string& state, ByteSpan file,
                             const std::optional<Hash>& fleet) {
  TAPER_TRY(const auto reached, own_or_reach(state, ""));
  if (const auto* owned = std::get_if<OwnedState>(&reached))
    return take_in_root(*owned, file, fleet, SystemClock().now());
  const auto& talk = std::get<ControlTalk>(reached);
  // More than a root may have is none, and no message bears it.
  if (file.size() > limits::kRootBytesMax) return capsules::open_root(file).error();
  TAPER_CHECK(
      talk.send({.verb = ControlVerb::import_root, .file = to_bytes(file), .fleet = fleet}));
  return talk.expect<Imported>(limits::kControlWorkMs);
}

Result<Bytes> time_challenge(const std::string& state) {
  TAPER_TRY(const auto reached, own_or_reach(state, ""));
  if (const auto* owned = std::get_if<OwnedState>(&reached))
    return ask_for_time(*owned, SystemClock().now());
  const auto& talk = std::get<ControlTalk>(reached);
  TAPER_CHECK(talk.send({.verb = ControlVerb::time_challenge}));
  TAPER_TRY(ControlPart part, talk.expect<ControlPart>(limits::kControlWorkMs));
  return std::move(part.bytes);
}

Status import_time(const std::string& state, ByteSpan file) {
  TAPER_TRY(const auto reached, own_or_reach(state, ""));
  if (const auto* owned = std::get_if<OwnedState>(&reached))
    return take_in_time(*owned, file, SystemClock().now());
  const auto& talk = std::get<ControlTalk>(reached);
  TAPER_CHECK(check_size("time", file, limits::kTimeFileBytesMax));
  return done_by(talk, {.verb = ControlVerb::import_time, .file = to_bytes(file)},
                 limits::kControlWorkMs);
}

Result<store::LogFloor> import_release(const std::string& state, ByteSpan file) {
  TAPER_TRY(const auto reached, own_or_reach(state, ""));
  if (const auto* owned = std::get_if<OwnedState>(&reached)) {
    TAPER_CHECK(take_in_release(*owned, file, SystemClock().now()));
    for (bool more = true; more;) {
      TAPER_TRY(more, owned->authority->prune(SystemClock().now()));
    }
    TAPER_CHECK(owned->store->sync_marker());
    return log_floor(state);
  }
  const auto& talk = std::get<ControlTalk>(reached);
  if (file.size() > limits::kReleaseBytesMax)
    return Error(Code::too_large,
                 {.field = "release",
                  .expected = "at most " + std::to_string(limits::kReleaseBytesMax) + " bytes",
                  .got = std::to_string(file.size()) + " bytes",
                  .fix = ""});
  TAPER_CHECK(done_by(talk, {.verb = ControlVerb::import_release, .file = to_bytes(file)},
                      limits::kControlWorkMs));
  return log_floor(state);
}

Result<authority::TimeReport> time_report(const std::string& state) {
  TAPER_TRY(const auto store, open_for_reading(state));
  return authority::time_report(*store, SystemClock().now());
}

Result<std::vector<authority::TaskView>> task_list(const std::string& state) {
  TAPER_TRY(const auto store, open_for_reading(state));
  const OwnPolicy own = own_policy(state);
  return authority::list_tasks(*store, SystemClock().now(), &own.policy);
}

Result<authority::TaskView> task_show(const std::string& state, const TaskId& task) {
  TAPER_TRY(const auto store, open_for_reading(state));
  const OwnPolicy own = own_policy(state);
  return authority::show_task(*store, task, SystemClock().now(), &own.policy);
}

Result<Bytes> audit_export(const std::string& state, const std::optional<Nonce>& nonce,
                           std::uint64_t from, std::uint64_t bytes_max) {
  TAPER_TRY(const authority::NodeRecord record, authority::read_node(state));
  return store::export_log(state, authority::log_origin(record), nonce, from, bytes_max);
}

namespace {

// An owner that goes while it is asked leaves the task to whoever owns the state next, or to us.
constexpr int kEndAttempts = 3;

}  // namespace

// Another user can neither ask the owner nor take the state.
Status check_caller(const std::string& state) {
  struct stat facts{};
  if (::stat(state.c_str(), &facts) != 0) return os_error("stat " + state, errno);
  if (::geteuid() == 0 || ::geteuid() == facts.st_uid) return success();
  return Error(Code::control_unreachable,
               {.field = state,
                .expected = "its owner, uid " + std::to_string(facts.st_uid) + ", or root",
                .got = "uid " + std::to_string(::geteuid()),
                .fix = "run it as that user"});
}

namespace {

Status end_from_outside(const std::string& state, const TaskId& task, ControlVerb verb,
                        authority::EndReason reason) {
  TAPER_CHECK(check_caller(state));
  for (int left = kEndAttempts;; --left) {
    TAPER_TRY(const authority::TaskView view, task_show(state, task));
    if (authority::is_terminal(view.state))
      return Error(Code::task_terminal, {.field = "task",
                                         .expected = "a live task",
                                         .got = std::string(authority::task_state_name(view.state)),
                                         .fix = ""});
    TAPER_TRY(const auto found, own_or_reach(state, ""));
    if (const auto* owned = std::get_if<OwnedState>(&found))
      return end_task(*owned, state, task, reason, {.uid = ::geteuid()}, SystemClock().now());
    Status asked = done_by(std::get<ControlTalk>(found), {.verb = verb, .task = task},
                           limits::kControlTimeoutMs);
    if (asked.code() != Code::control_unreachable || left == 0) return asked;
  }
}

}  // namespace

Status task_cancel(const std::string& state, const TaskId& task) {
  return end_from_outside(state, task, ControlVerb::cancel, authority::EndReason::cancelled);
}

Status task_kill(const std::string& state, const TaskId& task) {
  return end_from_outside(state, task, ControlVerb::kill, authority::EndReason::operator_kill);
}

namespace {

Result<Ordered> obey_alone(const OwnedState& owned, const std::string& state, ByteSpan file) {
  TAPER_TRY(capsules::Order order, owned.authority->open_order(file));
  const TaskId task = order.task;
  const Status ended =
      end_task(owned, state, task, authority::EndReason::operator_kill,
               {.uid = ::geteuid(), .order = std::move(order)}, SystemClock().now());
  if (!ended.ok() && ended.code() != Code::task_terminal) return ended.error();
  return Ordered{task, !ended.ok()};
}

Result<Ordered> obeyed_by(const ControlTalk& owner, ByteSpan file) {
  TAPER_CHECK(check_size("order", file, limits::kOrderFileBytesMax));
  TAPER_CHECK(owner.send({.verb = ControlVerb::import_order, .file = to_bytes(file)}));
  return owner.expect<Ordered>();
}

}  // namespace

Result<Ordered> import_order(const std::string& state, ByteSpan file) {
  for (int left = kEndAttempts;; --left) {
    TAPER_TRY(const auto found, own_or_reach(state, ""));
    if (const auto* owned = std::get_if<OwnedState>(&found)) return obey_alone(*owned, state, file);
    Result<Ordered> ordered = obeyed_by(std::get<ControlTalk>(found), file);
    if (ordered.code() != Code::control_unreachable || left == 0) return ordered;
  }
}

Result<std::string> sibling_program(const std::string& name) {
  char self[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", self, sizeof(self));
  if (length <= 0 || length == sizeof(self)) return os_error("readlink /proc/self/exe", errno);
  std::string path(self, static_cast<std::size_t>(length));
  path = path.substr(0, path.rfind('/') + 1) + name;
  if (::access(path.c_str(), X_OK) != 0)
    return Error(Code::program_missing,
                 {.field = path, .expected = "a program", .got = "", .fix = ""});
  return path;
}

}  // namespace taper::broker
