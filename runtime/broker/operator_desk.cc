#include "runtime/broker/operator_desk.h"

#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/node_policy_file.h"
#include "runtime/broker/plan_entry.h"

namespace taper::broker {

OperatorDesk::OperatorDesk(const OwnedState& owned, TaskHost& tasks, std::string state,
                           ServeChannel serve)
    : owned_(owned),
      tasks_(tasks),
      state_(std::move(state)),
      own_(owned.own),
      serve_(std::move(serve)) {}

void OperatorDesk::take(ControlServer::Peer& peer, ControlRequest request) {
  // Nothing begins any more: the loop would end around it.
  if (parking_) return peer.end(ControlReply{Code::owner_stopping});
  switch (request.verb) {
    case ControlVerb::challenge: return challenge(peer);
    case ControlVerb::import_root: return import_root(peer, request);
    case ControlVerb::result: return read(peer, request);
    case ControlVerb::run: return run(peer, std::move(request));
    case ControlVerb::time_challenge: return time_challenge(peer);
    case ControlVerb::import_time: return import_time(peer, request);
    case ControlVerb::import_release: return import_release(peer, request);
    case ControlVerb::policy: return tell_policy(peer);
    default: return peer.end(ControlReply{Code::message_malformed});
  }
}

void OperatorDesk::gone(ControlServer::Peer& peer) {
  if (const auto asked = asked_.find(&peer); asked != asked_.end()) {
    authority().withdraw(asked->second);
    asked_.erase(asked);
  }
  for (Run& run : runs_)
    if (run.watcher == &peer) run.watcher = nullptr;
}

void OperatorDesk::challenge(ControlServer::Peer& peer) {
  gone(peer);  // whoever asks anew does not answer the one before
  const Nonce challenge = authority().challenge();
  asked_[&peer] = challenge;
  const capsules::TrustRoot* root = authority().root();
  peer.ask(ControlChallenge{root != nullptr ? root->fleet() : Hash(), challenge});
}

void OperatorDesk::import_root(ControlServer::Peer& peer, const ControlRequest& request) {
  const Result<Imported> imported = take_in_root(owned_, request.file, request.fleet, now());
  // Tasks that rest on what the root no longer lists are ending: their cells die now.
  tasks_.look_at_time();
  imported.ok() ? peer.end(*imported) : peer.end(reply_of(imported.error()));
}

void OperatorDesk::time_challenge(ControlServer::Peer& peer) {
  Result<Bytes> made = ask_for_time(owned_, now());
  if (!made.ok()) return peer.end(reply_of(made.error()));
  peer.tell(ControlPart{std::move(*made)});
  peer.end(ControlReply{Code::ok});
}

void OperatorDesk::import_time(ControlServer::Peer& peer, const ControlRequest& request) {
  const Status taken = take_in_time(owned_, request.file, now());
  tasks_.look_at_time();
  peer.end(taken.ok() ? ControlReply{Code::ok} : reply_of(taken.error()));
}

void OperatorDesk::import_release(ControlServer::Peer& peer, const ControlRequest& request) {
  const Status taken = take_in_release(owned_, request.file, now());
  tasks_.prune();
  peer.end(taken.ok() ? ControlReply{Code::ok} : reply_of(taken.error()));
}

Status OperatorDesk::follow_policy() {
  OwnPolicy read = read_policy(state_);
  if (read.unread) return std::move(*read.unread);
  own_ = std::move(read);
  authority().follow(own_.policy);
  tasks_.look_at_time();
  return success();
}

void OperatorDesk::tell_policy(ControlServer::Peer& peer) {
  if (own_.unread) return peer.end(reply_of(*own_.unread));
  if (!own_.text.empty()) peer.tell(ControlPart{to_bytes(as_bytes(own_.text))});
  peer.end(ControlReply{Code::ok});
}

Status OperatorDesk::erase_over() {
  TAPER_TRY(std::vector<TaskId> kept, authority().kept_results(now()));
  for (const TaskId& task : authority().live_tasks()) kept.push_back(task);
  return tasks_.parts().results.erase_all_but(kept);
}

// The reader makes room before the read counts, and for that asks twice.
void OperatorDesk::read(ControlServer::Peer& peer, const ControlRequest& request) {
  if (const Status erased = erase_over(); !erased.ok()) return peer.end(reply_of(erased.error()));
  const authority::ResultRequest asked{.task = request.task,
                                       .step = request.step,
                                       .reader = request.reader,
                                       .challenge = request.challenge,
                                       .proof = request.proof};
  Bytes json;
  std::optional<ControlReadable> too_long;
  const auto at_hand = [&](const authority::ReadableResult& found) -> Status {
    TAPER_TRY(json, tasks_.parts().results.read(asked.task, found.call, found.result));
    if (json.size() <= request.room) return success();
    too_long.emplace(ControlReadable{found.call, found.step, found.reads_left + 1, json.size()});
    return Error(Code::too_large);
  };
  const Result<authority::ReadableResult> readable = authority().read_result(asked, now(), at_hand);
  if (too_long) return peer.ask(*too_long);
  if (!readable.ok()) return peer.end(reply_of(readable.error()));
  if (const Status synced = owned_.store->sync_marker(); !synced.ok())
    return peer.end(reply_of(synced.error()));
  peer.tell(ControlReadable{readable->call, readable->step, readable->reads_left, json.size()});
  for (std::size_t at = 0; at < json.size(); at += limits::kControlPartBytes) {
    const std::size_t length = std::min(limits::kControlPartBytes, json.size() - at);
    peer.tell(ControlPart{to_bytes(ByteSpan(json).subspan(at, length))});
  }
  peer.end(ControlReply{Code::ok});
}

// One plan of a task at a time: two would make each step twice.
Status OperatorDesk::may_begin(const capsules::VerifiedCapsule& capsule) const {
  for (const Run& run : runs_) {
    if (run.capsule != capsule.id()) continue;
    const std::string task = run.life->task().hex();
    return Error(Code::run_under_way,
                 {.field = "task " + task,
                  .expected = "no other run of it",
                  .got = "one under way",
                  .fix = "look at it with 'taper task show " + task +
                         " --state DIR'; wait for its end, or end it with 'taper task cancel'"});
  }
  if (runs_.size() < limits::kControlRunsMax) return success();
  return Error(Code::session_busy, {.field = "runs",
                                    .expected = "at most " + std::to_string(runs_.size()),
                                    .got = "one more",
                                    .fix = "wait for one of them"});
}

// A capsule that does not open, or whose holder does not prove itself, is handed on: the authority
// says what is wrong with it and counts it.
Result<authority::Activation> OperatorDesk::activate(ControlRequest request) {
  TAPER_CHECK(check_key_links(state_));
  ToolShelf& shelf = tasks_.parts().tools;
  const authority::ActivationRequest asked{.capsule_file = std::move(request.file),
                                           .challenge = request.challenge,
                                           .proof = request.proof,
                                           .inputs = std::move(request.inputs)};
  if (authority().root() != nullptr) {
    const Result<capsules::VerifiedCapsule> opened =
        capsules::open(asked.capsule_file, *authority().root());
    const bool session = opened.ok() && opened->root().entry == capsules::EntryKind::session;
    if (opened.ok() && (session || authority().proves(asked, *opened))) {
      TAPER_CHECK(may_begin(*opened));
      TAPER_CHECK(prepare_run(opened->root(), shelf));
      Status hidden = check_keys_hidden(state_, *opened, shelf.tools(), request.keys);
      if (!hidden.ok()) {
        authority().count_refused(hidden.code(), now());
        return hidden.error();
      }
    }
  }
  return authority().activate(asked, shelf.tools(), now());
}

void OperatorDesk::run(ControlServer::Peer& peer, ControlRequest request) {
  const Result<authority::Activation> activation = activate(std::move(request));
  if (!activation.ok()) return peer.end(reply_of(activation.error()));
  Run& run = runs_.emplace_back();
  run.life = tasks_.life(activation->task);
  run.capsule = authority().capsule(activation->task)->id();
  run.watcher = &peer;
  peer.hold(RunBegun{activation->task, activation->resumed, activation->joined});
  const auto tell = [&run](const StepReport& step) {
    if (run.watcher != nullptr) run.watcher->tell(step);
  };
  run.carried = begin_run(owned_, tasks_, *activation, serve_, tell, Steps::told);
}

bool OperatorDesk::ready() const {
  return std::ranges::any_of(runs_, [](const Run& run) {
    return run.carried->ready() || (run.carried->over() && !(run.told && run.carried->calling()));
  });
}

void OperatorDesk::advance() {
  const auto next =
      std::ranges::find_if(runs_, [](const Run& run) { return run.carried->ready(); });
  if (next != runs_.end()) {
    next->carried->advance();
    runs_.splice(runs_.end(), runs_, next);
  }
  for (Run& run : runs_)
    if (run.carried->over() && !run.told) tell_end(run);
  // A call that still runs tells its plan how it ended.
  std::erase_if(runs_, [](const Run& run) { return run.told && !run.carried->calling(); });
}

void OperatorDesk::tell_end(Run& run) {
  run.told = true;
  const Result<RunReport> report = run.carried->take_report();
  if (run.watcher == nullptr) return;
  report.ok() ? run.watcher->end(RunEnded{report->state, report->reason, report->code})
              : run.watcher->end(reply_of(report.error()));
}

void OperatorDesk::look_at_time() {
  for (const Run& run : runs_) run.carried->look_at_time();
}

std::optional<std::int64_t> OperatorDesk::wake_boot_ms() const {
  std::optional<std::int64_t> first;
  for (const Run& run : runs_) {
    const std::optional<std::int64_t> wake = run.carried->wake_boot_ms();
    if (wake) first = std::min(first.value_or(*wake), *wake);
  }
  return first;
}

void OperatorDesk::interrupted() {
  parking_ = true;
  for (const Run& run : runs_)
    if (!run.life->ending()) run.life->fail(owner_stopping(run.life->task()));
}

}  // namespace taper::broker
