#include "runtime/broker/session_host.h"

#include <algorithm>
#include <functional>
#include <ranges>
#include <set>

#include "runtime/authority/profile.h"
#include "runtime/authority/result_text.h"
#include "runtime/base/limits.h"
#include "runtime/broker/diagnostics.h"
#include "runtime/broker/question.h"
#include "runtime/broker/session_bodies.h"

namespace taper::broker {

using authority::CallState;
using authority::EndReason;
using capsules::Verb;

namespace {

Verb verb_of(Ask ask) {
  switch (ask) {
    case Ask::poll: return Verb::poll;
    case Ask::result: return Verb::result;
    case Ask::update: return Verb::update;
    case Ask::cancel: return Verb::cancel;
    default: return Verb::unset;
  }
}

// For the tool's server, where anything is to be said: docs/formats/tools.md.
std::string meta_of(const SessionRequest& request) {
  capsules::Object meta;
  if (request.progress) meta.emplace_back("progress", true);
  const auto put = [&meta](const char* name, const std::string& text) {
    if (!text.empty()) meta.emplace_back(name, text);
  };
  put("traceparent", request.trace.parent);
  put("tracestate", request.trace.state);
  put("baggage", request.trace.baggage);
  return meta.empty() ? "" : capsules::write_canonical(meta);
}

}  // namespace

SessionHost::SessionHost(const OwnedState& owned, TaskHost& tasks) : owned_(owned), tasks_(tasks) {}

void SessionHost::attach(Session& session, std::shared_ptr<TaskLife> life, const Hash& chain) {
  const capsules::VerifiedCapsule* capsule = authority().capsule(life->task(), chain);
  TAPER_ASSERT(capsule != nullptr);
  Peer& peer = peers_[&session];
  peer.chain = chain;
  peer.branch = branch_of(*capsule);
  peer.terms = authority::terms(capsule->root(), capsule->blocks());
  peer.life = std::move(life);
  peer.attached = true;
}

void SessionHost::said(Session&, std::string words) { words_ = std::move(words); }

// Each tool once; reading many takes long, and the spawner wants to hear of us meanwhile.
Status SessionHost::load_tools(const capsules::Capsule& root) {
  std::set<std::string> names;
  for (const capsules::Grant& grant : root.grants) names.insert(grant.tool);
  Status all = success();
  for (const std::string& name : names) {
    const Status loaded = tasks_.parts().tools.load(name);
    if (!loaded.ok() && loaded.code() != Code::tool_file_malformed) return loaded.error();
    if (!loaded.ok()) all = loaded.error();
    (void)tasks_.parts().spawner.beat();
  }
  return all;
}

SessionHost::Branch SessionHost::branch_of(const capsules::VerifiedCapsule& capsule) {
  return {capsule.id(), capsule.root().holder,
          authority::branch_holder(capsule.root(), capsule.blocks())};
}

// One whom a capsule was handed to, and all whom he hands it to, share their places; all such
// together leave some to its first holder.
bool SessionHost::has_room(const Branch& branch) const {
  std::size_t all = 0;
  std::size_t same = 0;
  std::size_t handed_on = 0;
  for (const auto& [session, peer] : peers_) {
    const Branch& other = peer.branch;
    if (other.capsule != branch.capsule) continue;
    ++all;
    same += other.holder == branch.holder ? 1 : 0;
    handed_on += other.holder == other.first ? 0 : 1;
  }
  if (all >= limits::kAgentSessionsPerTaskMax) return false;
  return branch.holder == branch.first ||
         (same < limits::kAgentSessionsPerBranchMax &&
          handed_on + limits::kAgentSessionsPerBranchMax < limits::kAgentSessionsPerTaskMax);
}

// A task that starts many calls does not take the cells that others need, and of its holders none
// the places of the first.
bool SessionHost::may_call(const Peer& peer) const {
  if (peer.life->calls() >= limits::kCallsPerTaskMax) return false;
  const Branch& branch = peer.branch;
  if (branch.holder == branch.first) return true;
  std::size_t same = 0;
  std::size_t handed_on = 0;
  for (const auto& [call, begun] : calls_) {
    const Branch& other = begun.branch;
    if (other.capsule != branch.capsule) continue;
    same += other.holder == branch.holder ? 1 : 0;
    handed_on += other.holder == other.first ? 0 : 1;
  }
  return same < limits::kCallsPerBranchMax &&
         handed_on + limits::kCallsForHolder < limits::kCallsPerTaskMax;
}

// A server that could ask is not called where its question would find no place to wait.
bool SessionHost::may_ask(const Peer& peer, const SessionRequest& request) const {
  const authority::Tool* tool = tasks_.parts().tools.find(request.tool);
  return request.input == authority::Input::none || tool == nullptr ||
         tool->kind != authority::ToolKind::upstream || peer.life->may_wait(peer.chain);
}

Challenge SessionHost::challenge() {
  const capsules::TrustRoot* root = authority().root();
  return {.fleet = root != nullptr ? root->fleet() : Hash(),
          .node = owned_.facts.node,
          .incarnation = owned_.facts.incarnation,
          .challenge = authority().challenge()};
}

// A capsule that does not open is handed on: the authority says what is wrong and counts it.
Result<authority::NodeAnswer> SessionHost::admit(Session& session, const Challenge& challenge,
                                                 const Open& open) {
  TAPER_ASSERT(owned_.signer);
  if (parking_) return Error(Code::session_busy);
  ToolShelf& shelf = tasks_.parts().tools;
  const authority::ActivationRequest request{.capsule_file = open.capsule,
                                             .challenge = challenge.challenge,
                                             .proof = open.signature,
                                             .inputs = {},
                                             .exchange = open.exchange};
  Peer peer;
  if (authority().root() != nullptr) {
    const Result<capsules::VerifiedCapsule> capsule =
        capsules::open(open.capsule, *authority().root());
    // By its own door alone: a plan has its order, and an agent its program.
    if (capsule.ok() && capsule->root().entry != capsules::EntryKind::session) {
      authority().count_refused(Code::entry_other, now());
      return Error(Code::entry_other);
    }
    // For a stranger with a stolen file no tool is read.
    if (capsule.ok() && authority().proves(request, *capsule)) {
      peer.branch = branch_of(*capsule);
      if (!has_room(peer.branch)) return Error(Code::session_busy);
      TAPER_CHECK(load_tools(capsule->root()));
      peer.terms = authority::terms(capsule->root(), capsule->blocks());
    }
  }
  TAPER_TRY(const authority::Activation activation,
            authority().activate(request, shelf.tools(), now()));
  // First of all its time is watched, whatever becomes of the opening.
  peer.chain = activation.chain;
  peer.life = tasks_.life(activation.task);
  TAPER_TRY(
      authority::NodeAnswer answer,
      authority::answer_open(challenge, open, activation.task, activation.resumed, *owned_.signer));
  peers_[&session] = std::move(peer);
  return answer;
}

void SessionHost::misused(Session& session, const Error& error) {
  const auto peer = peers_.find(&session);
  if (peer != peers_.end() && peer->second.attached) {
    attached_ = Attached::misused;
    return;
  }
  authority().count_refused(error.code(), now());
}

void SessionHost::gone(Session& session) {
  if (session.asked()) authority().withdraw(session.asked()->challenge);
  const auto peer = peers_.find(&session);
  if (peer != peers_.end() && peer->second.attached && attached_ == Attached::open)
    attached_ = Attached::gone;
  peers_.erase(&session);
  std::erase_if(waiting_, [&](const auto& entry) { return entry.second.session == &session; });
  std::erase_if(held_, [&](const Held& held) { return held.asked.session == &session; });
}

void SessionHost::ask(Session& session, std::uint64_t number, SessionRequest request) {
  if (request.ask == Ask::abandon) return abandon(session, request.request);
  const Asked asked{&session, number, request.ask, request.call};
  Peer& peer = peers_.at(&session);
  // Nothing begins any more: the loop would end around it.
  if (parking_) return session.reply(number, Code::session_busy, "{}");
  // A life that failed has left its task as the store has it; one that ended is told of soon.
  // An agent's is over with its run.
  if (peer.life->over() && !peer.attached && authority().capsule(session.task()) != nullptr)
    peer.life = tasks_.life(session.task());
  if (peer.life->over()) return session.reply(number, Code::task_terminal, "{}");
  switch (request.ask) {
    case Ask::describe:
    case Ask::discover: return discover(asked);
    case Ask::call:
      if (!request.call.is_zero()) return go_on(asked, std::move(request));
      [[fallthrough]];
    case Ask::create: return call(asked, std::move(request));
    case Ask::poll: return poll(asked);
    case Ask::update: return go_on(asked, std::move(request));
    case Ask::result:
    case Ask::cancel: return access(asked);
    case Ask::close: return close(asked);
    case Ask::abandon:
    case Ask::unset: break;
  }
  TAPER_ASSERT(false);
}

std::string SessionHost::remaining(const Peer& peer, std::optional<std::size_t> grant) const {
  const auto left = authority().remaining(peer.life->task(), peer.chain, grant, now());
  return left ? capsules::write_canonical(remaining_body(*left)) : "";
}

void SessionHost::deny(const Asked& asked, const authority::Denial& denial) {
  const Peer& peer = peers_.at(asked.session);
  asked.session->reply(asked.number, denial.error.code(),
                       denial_body(denial.decision, remaining(peer)));
  if (denial.ends_task != EndReason::none) (void)peer.life->end(denial.ends_task);
}

// Both tell of grants, which is a decision and a record of its own.
void SessionHost::discover(const Asked& asked) {
  const Peer& peer = peers_.at(asked.session);
  const ToolShelf& shelf = tasks_.parts().tools;
  const capsules::VerifiedCapsule& capsule = *authority().capsule(peer.life->task());
  const Status loaded = load_tools(capsule.root());
  if (!loaded.ok() && loaded.code() != Code::tool_file_malformed)
    return asked.session->reply(asked.number, loaded.code(), "{}");
  const Result<authority::Discovery> found =
      authority().discover(peer.life->task(), peer.chain, shelf.tools(), now());
  if (!found.ok()) return asked.session->reply(asked.number, found.code(), "{}");
  if (const auto* denial = std::get_if<authority::Denial>(&*found)) return deny(asked, *denial);
  const auto& grants = std::get<std::vector<authority::DiscoveredGrant>>(*found);
  const auto left = authority().remaining(peer.life->task(), peer.chain, std::nullopt, now());
  if (!left) return asked.session->reply(asked.number, Code::task_terminal, "{}");
  asked.session->reply(asked.number, Code::ok,
                       asked.ask == Ask::discover
                           ? discover_body(grants, *left)
                           : describe_body(facts_of(peer, capsule.root()), grants, *left));
}

TaskFacts SessionHost::facts_of(const Peer& peer, const capsules::Capsule& root) const {
  return {.task = peer.life->task(),
          .purpose = root.purpose,
          .requester = root.requester,
          .agent = root.agent,
          .tenant = root.tenant,
          .node = owned_.facts.name,
          .lease_ms = peer.terms.ttl_ms,
          .idle_ms = peer.terms.idle_ms,
          .not_after_s = peer.terms.not_after_s,
          .end_on = root.end_on};
}

void SessionHost::call(const Asked& asked, SessionRequest&& request) {
  const Peer& peer = peers_.at(asked.session);
  if (!may_call(peer) || !may_ask(peer, request))
    return asked.session->reply(asked.number, Code::session_busy, "{}");
  authority::CallRequest wanted{.task = peer.life->task(),
                                .chain = peer.chain,
                                .verb = Verb::call,
                                .tool = std::move(request.tool),
                                .arguments = std::move(request.arguments),
                                .step = ""};
  wanted.meta = meta_of(request);
  wanted.trace = trace_id(request.trace);
  wanted.input = request.input;
  if (asked.ask == Ask::create)
    wanted.handle_ttl_ms = request.ttl_ms.value_or(limits::kHandleTtlMaxMs);
  begin(asked, wanted, heard_by(request), {.by_handle = asked.ask == Ask::create});
}

TaskLife::Progressed SessionHost::heard_by(const SessionRequest& request) {
  return request.progress ? std::bind_front(&SessionHost::progressed, this)
                          : TaskLife::Progressed();
}

void SessionHost::begin(Asked asked, const authority::CallRequest& wanted,
                        TaskLife::Progressed progressed, const CallPhase& phase) {
  const Peer& peer = peers_.at(asked.session);
  const Result<TaskLife::Answer> answer = peer.life->call(
      wanted,
      [this](const CallId& call, Result<CallEnd> end) { over_.push_back({call, std::move(end)}); },
      std::move(progressed), phase);
  if (!answer.ok()) return asked.session->reply(asked.number, answer.code(), "{}");
  if (const auto* denial = std::get_if<authority::Denial>(&*answer)) return deny(asked, *denial);
  const auto& started = std::get<TaskLife::Started>(*answer);
  calls_.emplace(started.call, Begun{peer.branch, peer.life, !phase.by_handle});
  asked.call = started.call;
  asked.grant = started.grant;
  if (asked.ask == Ask::call) {
    waiting_.emplace(started.call, asked);
    return;
  }
  const auto view = authority().handle_view(peer.life->task(), started.call);
  // What could not even be begun may have ended the task.
  if (!view) return asked.session->reply(asked.number, Code::task_terminal, "{}");
  hand_out(asked, *view);
  if (asked.ask == Ask::update) tell_all(started.call);
}

// A call that waits goes on: first whether this chain may answer it, then the call anew. Of a task
// its own arguments are taken; a plain call names them again.
void SessionHost::go_on(const Asked& asked, SessionRequest&& request) {
  // What it asked is told before it goes on.
  const auto told = std::ranges::find(over_, request.call, &Over::call);
  if (told != over_.end()) {
    const Over over = std::move(*told);
    over_.erase(told);
    call_over(over.call, over.end);
  }
  const Peer& peer = peers_.at(asked.session);
  const TaskId& task = peer.life->task();
  if (!may_call(peer)) return asked.session->reply(asked.number, Code::session_busy, "{}");
  const bool plain = asked.ask == Ask::call;
  const Bytes& responses = plain ? request.responses : request.arguments;
  const Hash digest = authority::result_hash(as_text(responses));
  const Result<authority::Access> access =
      authority().access({task, peer.chain, Verb::update, request.call, digest}, now());
  if (!access.ok()) return asked.session->reply(asked.number, access.code(), "{}");
  if (const auto* denial = std::get_if<authority::Denial>(&*access)) return deny(asked, *denial);
  const auto& view = std::get<authority::CallView>(*access);
  const Result<Bytes> kept = tasks_.parts().results.read(task, request.call, view.result);
  Result<Question> question = kept.ok() ? decode_question(*kept) : Result<Question>(kept.error());
  if (!question.ok()) return asked.session->reply(asked.number, question.code(), "{}");
  const Result<std::string> answers = answers_to(*question, responses);
  if (!answers.ok())
    return asked.session->reply(asked.number, answers.code(), malformed_body(answers.error()));
  // What a plain call asked is kept without its arguments.
  const bool by_handle = !question->arguments.empty();
  authority::CallRequest wanted{
      .task = task,
      .chain = peer.chain,
      .verb = Verb::call,
      .tool = plain ? request.tool : view.tool,
      .arguments = plain ? std::move(request.arguments) : std::move(question->arguments),
      .step = ""};
  wanted.meta = meta_of(request);
  wanted.trace = trace_id(request.trace);
  wanted.input = request.input;
  wanted.goes_on = {request.call, digest, *answers, question->state};
  begin(asked, wanted, heard_by(request), {question->round + 1, view.result, by_handle});
}

// Whoever polls again and again makes no more records than one in each kHandlePollMs.
void SessionHost::poll(const Asked& asked) {
  const std::int64_t old = now().boot_ms - limits::kHandlePollMs;
  std::erase_if(polled_, [old](const auto& entry) { return entry.second <= old; });
  const auto last = polled_.find({peers_.at(asked.session).chain, asked.call});
  if (last == polled_.end()) return access(asked);
  held_.push_back({asked, last->second + limits::kHandlePollMs});
}

void SessionHost::access(const Asked& asked) {
  const Peer& peer = peers_.at(asked.session);
  const Result<authority::Access> access =
      authority().access({peer.life->task(), peer.chain, verb_of(asked.ask), asked.call}, now());
  if (!access.ok()) return asked.session->reply(asked.number, access.code(), "{}");
  if (const auto* denial = std::get_if<authority::Denial>(&*access)) return deny(asked, *denial);
  const auto& view = std::get<authority::CallView>(*access);
  if (asked.ask == Ask::poll) polled_[{peer.chain, asked.call}] = now().boot_ms;
  if (asked.ask == Ask::cancel && view.runs) peer.life->cancel_call(asked.call);
  if (asked.ask == Ask::cancel && view.code == Code::call_cancelled && !view.runs) {
    // What it asked for, if it waited.
    const Status erased = tasks_.parts().results.erase(peer.life->task(), asked.call);
    if (!erased.ok()) warn(to_line(erased.error()));
    tell_all(asked.call);
  }
  const bool waits = asked.ask == Ask::result || asked.ask == Ask::cancel;
  if (view.runs && waits) {
    waiting_.emplace(asked.call, asked);
  } else {
    hand_out(asked, view);
  }
}

void SessionHost::hand_out(const Asked& asked, const authority::CallView& view) {
  const Peer& peer = peers_.at(asked.session);
  std::optional<std::string> result;
  if (asked.ask == Ask::result && view.state != CallState::waiting) {
    CallResult said{.code = view.code};
    Result<Bytes> bytes = Bytes();
    if (!view.result.is_zero())
      bytes = tasks_.parts().results.read(peer.life->task(), view.call, view.result);
    if (!bytes.ok()) return asked.session->reply(asked.number, bytes.code(), "{}");
    // Of a call that failed its words stand there.
    (view.code == Code::ok ? said.json : said.err) = as_text(*bytes);
    result = result_body(said, "");
  }
  const Result<std::string> body =
      told(peer, view, result, remaining(peer, asked.grant.value_or(view.grant)));
  asked.session->reply(asked.number, body.code(), body.ok() ? *body : "{}");
}

// Of a call that waits with what it asks, where the chain's own.
Result<std::string> SessionHost::told(const Peer& peer, const authority::CallView& view,
                                      const std::optional<std::string>& result,
                                      std::string_view remaining) const {
  const bool own = view.chain == peer.chain;
  if (view.state != CallState::waiting || !own) return handle_body(view, result, remaining);
  TAPER_TRY(const Bytes kept,
            tasks_.parts().results.read(peer.life->task(), view.call, view.result));
  TAPER_TRY(const Question question, decode_question(kept));
  return handle_body(view, result, remaining, capsules::write_canonical(question.requests));
}

// A plain call that asks. It may have been ended before anybody could be told.
void SessionHost::ask_back(const Asked& asked, const CallEnd& end) {
  const Peer& peer = peers_.at(asked.session);
  const auto view = authority().handle_view(peer.life->task(), asked.call);
  if (view && view->state == CallState::waiting) return hand_out(asked, *view);
  const Code code = view && view->code != Code::ok ? view->code : Code::input_unanswered;
  asked.session->reply(asked.number, Code::ok,
                       result_body({code, {}, {}, end.decision}, remaining(peer, asked.grant)));
}

void SessionHost::tell_all(const CallId& call) {
  for (auto& [session, peer] : peers_) {
    const auto view = authority().handle_view(peer.life->task(), call);
    if (!view || view->chain != peer.chain) continue;
    const Result<std::string> body = told(peer, *view, std::nullopt, "");
    if (body.ok()) session->tell({call, *body});
  }
}

// Nobody waits for the answer, so a plain call is of no use any more: it is killed, ended where it
// asked something, and answered with its end. Of a call with a handle only the question is dropped;
// its place is free again.
void SessionHost::abandon(Session& session, std::uint64_t number) {
  const auto is_it = [&](const Asked& asked) {
    return asked.session == &session && asked.number == number;
  };
  bool dropped = std::erase_if(held_, [&](const Held& held) { return is_it(held.asked); }) > 0;
  for (auto& [call, asked] : waiting_) {
    if (!is_it(asked) || asked.ask != Ask::call) continue;
    asked.abandoned = true;
    peers_.at(&session).life->cancel_call(call);
  }
  dropped = std::erase_if(waiting_,
                          [&](const auto& entry) {
                            return is_it(entry.second) && entry.second.ask != Ask::call;
                          }) > 0 ||
            dropped;
  if (dropped) session.reply(number, Code::call_cancelled, "{}");
}

// The holder of the chain that activated the task completes it, where its capsule ends on that. A
// narrower chain's holder only leaves.
void SessionHost::close(const Asked& asked) {
  Session& session = *asked.session;
  const Peer peer = peers_.at(&session);
  const capsules::VerifiedCapsule* capsule = authority().capsule(peer.life->task());
  Status closed = success();
  if (capsule != nullptr && capsule->chain() == peer.chain && capsule->root().end_on.completion)
    closed = peer.life->end(EndReason::completion);
  session.reply(asked.number, closed.code(), "{}");
  session.end(Code::ok);
}

bool SessionHost::is_over(const Peer& peer, const CallId& call) const {
  const auto due = authority().handles_due(peer.life->task(), now());
  return std::ranges::find(due.over, call) != due.over.end();
}

void SessionHost::call_over(const CallId& call, const Result<CallEnd>& end) {
  const auto begun = calls_.extract(call);
  const auto forget = [&] {
    if (begun.empty() || !begun.mapped().plain) return;
    const Status forgotten = begun.mapped().life->forget(call, authority::Forget::ended);
    if (!forgotten.ok()) warn(to_line(forgotten.error()));
  };
  std::vector<Asked> told;
  const auto [first, last] = waiting_.equal_range(call);
  for (auto entry = first; entry != last; ++entry) told.push_back(entry->second);
  waiting_.erase(first, last);
  // A question that nobody is left to hear is ended; what a plain call gave is given once.
  const bool waits = end.ok() && end->state == CallState::waiting;
  if (waits && std::ranges::all_of(told, &Asked::abandoned)) forget();
  for (const Asked& asked : told) {
    if (!peers_.contains(asked.session)) continue;
    const Peer& peer = peers_.at(asked.session);
    if (!end.ok()) {
      asked.session->reply(asked.number, end.code(), "{}");
    } else if (asked.ask == Ask::call && end->state == CallState::waiting) {
      ask_back(asked, *end);
    } else if (asked.ask == Ask::call) {
      const CallResult said{end->code, end->json, end->err, end->decision};
      asked.session->reply(asked.number, Code::ok, result_body(said, remaining(peer, asked.grant)));
    } else if (const auto view = authority().handle_view(peer.life->task(), call);
               asked.ask == Ask::cancel && view) {
      hand_out(asked, *view);
    } else if (is_over(peer, call)) {
      // It was let wait, and waited too long: that is no denial.
      asked.session->reply(asked.number, Code::handle_unknown, "{}");
    } else {
      access(asked);
    }
  }
  if (end.ok() && !waits) forget();
  tell_all(call);
}

// A plain call is told of to whoever made it; one with a handle as its end is.
void SessionHost::progressed(const CallId& call, const sandbox::ToolProgress& progress) {
  const std::string body = progress_body(progress);
  const auto [first, last] = waiting_.equal_range(call);
  for (auto entry = first; entry != last; ++entry) {
    const Asked& asked = entry->second;
    if (asked.ask == Ask::call) asked.session->tell({call, body, asked.number});
  }
  for (auto& [session, peer] : peers_) {
    const auto view = authority().handle_view(peer.life->task(), call);
    if (view && view->chain == peer.chain) session->tell({call, body});
  }
}

// Its task has ended, and nobody has told it so.
bool SessionHost::is_orphan(const Session& session, const Peer& peer) {
  return !session.over() && peer.life->over() && !peer.life->failure();
}

bool SessionHost::ready() const {
  return !over_.empty() || std::ranges::any_of(peers_, [](const auto& entry) {
    return is_orphan(*entry.first, entry.second);
  });
}

// What is long is told one after the other, as it is settled.
void SessionHost::advance() {
  std::size_t bytes = 0;
  for (std::size_t count = 0; count < limits::kSettledAtOnce; ++count) {
    if (over_.empty() || bytes >= limits::kSettledBytesAtOnce) break;
    const Over over = std::move(over_.front());
    over_.pop_front();
    bytes += over.end.ok() ? over.end->json.size() : 0;
    call_over(over.call, over.end);
  }
  if (!over_.empty()) return;  // a session that ends is told nothing more
  std::vector<std::pair<Session*, EndReason>> ended;
  for (const auto& [session, peer] : peers_)
    if (is_orphan(*session, peer)) ended.emplace_back(session, peer.life->reason());
  for (const auto& [session, reason] : ended) session->end(code_of(reason));
}

void SessionHost::look_at_time() {
  const std::int64_t at = now().boot_ms;
  std::vector<Held> free;
  std::erase_if(held_, [&](const Held& held) {
    if (held.until_boot_ms > at) return false;
    free.push_back(held);
    return true;
  });
  // Of several about one call the first is answered, and the others wait on.
  for (const Held& held : free) poll(held.asked);
}

std::optional<std::int64_t> SessionHost::wake_boot_ms() const {
  std::optional<std::int64_t> first;
  for (const Held& held : held_)
    first = std::min(first.value_or(held.until_boot_ms), held.until_boot_ms);
  return first;
}

void SessionHost::interrupted() {
  parking_ = true;
  tasks_.park();
}

void SessionHost::fail(const Error& error) { warn(to_line(error)); }

bool SessionHost::over() const {
  return tasks_.lost() || (parking_ && over_.empty() && !tasks_.busy());
}

}  // namespace taper::broker
