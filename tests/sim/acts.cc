// What people and agents do: capsules, calls, joining, ends.
#include <algorithm>

#include "crypto/crypto.h"
#include "tests/sim/history.h"

namespace taper::sim {
namespace {

using authority::Activation;
using authority::EndReason;

const std::vector<std::string> kTools = {"file.read", "file.read", "file.list", "file.write"};
const std::vector<std::string> kPaths = {"/t/a/x", "/t/a/x", "/t/a/y", "/t/b/x", "/u/x"};

std::string arguments(const std::string& tool, const std::string& path) {
  const std::string content = tool == "file.write" ? R"("content":"c",)" : "";
  return "{" + content + "\"path\":\"" + path + "\"}";
}

}  // namespace

authority::ActivationRequest History::request_for(Watched& w, const Issued&, const Chain& chain) {
  authority::ActivationRequest request;
  authority::Authority& authority = w.host.authority();
  request.capsule_file = chain.file;
  request.challenge = authority.challenge();
  const Address& to = w.host.address();
  request.proof =
      chain.holder->sign(crypto::statement::kActivation,
                         authority::activation_statement(centre_.fleet(), to.node, to.incarnation,
                                                         chain.hash, request.challenge, {}));
  return request;
}

void History::give_chain(Watched& w, std::size_t capsule, std::size_t chain) {
  Issued& issued = centre_.issued()[capsule];
  const Verdict verdict = against_activation(w, capsule, chain);
  authority::ActivationRequest request = request_for(w, issued, issued.chains[chain]);
  w.used.push_back(request);
  Result<Activation> made;
  if (!w.host.run([&](authority::Authority& authority) {
        made = authority.activate(request, tools_, w.host.now());
      }))
    return;
  tell("activate " + issued.id.hex().substr(0, 8) + " chain " + std::to_string(chain) + ": " +
       (made.ok() ? (made->resumed ? "resumed" : "made") : to_line(made.error())));
  hold(w, verdict, made.ok(), "a capsule was activated");
  if (made.ok()) return activated(w, capsule, chain, *made);
  storage_error(w, made.error());
}

void History::activated(Watched& w, std::size_t capsule, std::size_t chain,
                        const Activation& made) {
  Issued& issued = centre_.issued()[capsule];
  const auto known = w.tasks.find(made.task);
  if (made.resumed) {
    const bool lives = known != w.tasks.end() && !known->second.over;
    check(Invariant::i3, lives, "a task went on that had ended, or is unknown");
  } else {
    ++issued.activations;
    check(Invariant::i2, issued.activations <= issued.said.activations,
          "more activations than the capsule has", Row::replayed);
    w.tasks[made.task] = {capsule, w.metered_ms, w.metered_ms, {}, {}, {}, false};
    keep_floor(w);
  }
  w.tasks[made.task].attached.insert(chain);
  check_lease(w, made.task, chain);
}

void History::give_capsule(Watched& w) {
  const std::size_t capsule = centre_.issue(dice_, w.number, w.host.address(), true_s());
  if (dice_.percent(10)) return fault("lost_file");
  give_chain(w, capsule, 0);
  if (!w.host.up() || !dice_.percent(10)) return;
  fault("duplicated_file");
  give_chain(w, capsule, 0);
}

void History::give_old_capsule(Watched& w) {
  if (centre_.issued().empty()) return;
  const std::size_t capsule = dice_.below(centre_.issued().size());
  fault("replayed_capsule");
  give_chain(w, capsule, dice_.below(centre_.issued()[capsule].chains.size()));
}

// The holder comes again: after a restart his chain must be attached before it is served.
void History::attach(Watched& w) {
  for (auto& [task, known] : w.tasks) {
    if (known.over || !known.attached.empty()) continue;
    return give_chain(w, known.capsule, 0);
  }
  give_old_capsule(w);
}

void History::join(Watched& w) {
  std::vector<std::size_t> live;
  for (const auto& [task, known] : w.tasks)
    if (!known.over) live.push_back(known.capsule);
  if (live.empty()) return give_capsule(w);
  const std::size_t capsule = dice_.of(live);
  const std::size_t chains = centre_.issued()[capsule].chains.size();
  const std::size_t chain =
      chains < 4 ? centre_.narrow(dice_, capsule) : 1 + dice_.below(chains - 1);
  give_chain(w, capsule, chain);
}

void History::replay_proof(Watched& w) {
  if (w.used.empty()) return give_old_capsule(w);
  const authority::ActivationRequest request = dice_.of(w.used);
  fault("replayed_proof");
  Result<Activation> made;
  if (!w.host.run([&](authority::Authority& authority) {
        made = authority.activate(request, tools_, w.host.now());
      }))
    return;
  check(Invariant::i2, !made.ok(), "a proof counted twice", Row::replayed);
  if (!made.ok()) storage_error(w, made.error());
}

void History::publish() {
  centre_.publish(true_s(), dice_.percent(30));
  tell("publish root " + std::to_string(centre_.version()));
}

void History::give_root(Watched& w) {
  std::uint64_t version = w.root_version + 1;
  if (dice_.percent(25) || version > centre_.version())
    version = 1 + dice_.below(centre_.version());
  if (version > w.root_version + 1) fault("reordered_root");
  if (version < w.root_version) fault("replayed_root");
  if (version == w.root_version) fault("duplicated_file");
  Status imported = success();
  if (!w.host.run([&](authority::Authority& authority) {
        imported = authority.import_root(centre_.roots()[version - 1], std::nullopt, w.host.now());
      }))
    return;
  const capsules::TrustRoot* root = w.host.authority().root();
  const std::uint64_t now = root == nullptr ? 0 : root->data().version;
  tell("root " + std::to_string(version) + " over " + std::to_string(w.root_version) + ": " +
       (imported.ok() ? "ok" : to_line(imported.error())));
  check(Invariant::i3, now >= w.root_version, "an older root took the place of a newer one");
  check(Invariant::i3, now <= w.root_version + 1, "a root was left out");
  // It may be there although what followed it failed.
  const bool there = now == version && version != w.root_version;
  if (there) w.root_version = version;
  if (!imported.ok()) return void(storage_error(w, imported.error()));
  if (!there) return;  // one that it has already writes nothing
  w.floor_ms = std::max(w.floor_ms, centre_.issued_s(version) * 1000);
  keep_floor(w);
}

void History::call(Watched& w) {
  std::vector<TaskId> tasks;
  for (const auto& [task, known] : w.tasks)
    if (!known.over || dice_.percent(5)) tasks.push_back(task);
  if (tasks.empty()) return give_capsule(w);
  const TaskId task = dice_.of(tasks);
  const Known& known = w.tasks.at(task);
  std::vector<std::size_t> chains(known.attached.begin(), known.attached.end());
  if (chains.empty()) return attach(w);
  call_once(w, task, dice_.of(chains), dice_.of(kTools), dice_.of(kPaths));
}

bool History::call_once(Watched& w, const TaskId& task, std::size_t chain, const std::string& tool,
                        const std::string& path) {
  Known& known = w.tasks.at(task);
  const Verdict verdict = against_call(w, known, chain, tool, path);
  authority::CallRequest request;
  request.task = task;
  request.chain = centre_.issued()[known.capsule].chains[chain].hash;
  request.verb = capsules::Verb::call;
  request.tool = tool;
  request.arguments = to_bytes(as_bytes(arguments(tool, path)));
  request.step = "one";
  std::optional<Result<authority::Decision>> told;
  if (!w.host.run([&](authority::Authority& authority) {
        told.emplace(authority.authorise(request, tools_, w.host.now()));
      })) {
    known.idle_from_ms = w.metered_ms;  // it may be durable, though nobody was told
    return false;
  }
  const Result<authority::Decision>& decision = *told;
  const auto* made = decision.ok() ? std::get_if<authority::Allowed>(&decision.value()) : nullptr;
  const auto* denial = decision.ok() ? std::get_if<authority::Denial>(&decision.value()) : nullptr;
  tell("call " + task.hex().substr(0, 8) + " " + tool + " " + path + ": " +
       (made != nullptr ? "allowed"
                        : to_line(denial != nullptr ? denial->error : decision.error())));
  hold(w, verdict, made != nullptr, "a call was allowed");
  if (made != nullptr) {
    allowed(w, task, chain, tool, *made);
  } else if (denial == nullptr) {
    storage_error(w, decision.error());
  } else if (denial->ends_task != EndReason::none && dice_.percent(80)) {
    end_task(w, task, denial->ends_task);
  }
  return made != nullptr;
}

void History::allowed(Watched& w, const TaskId& task, std::size_t chain, const std::string& tool,
                      const authority::Allowed& made) {
  Known& known = w.tasks.at(task);
  Issued& issued = centre_.issued()[known.capsule];
  const std::string id = tool.substr(tool.find('.') + 1);
  check(Invariant::i4, in_log(w, made.decision), "an allowed call is not in the log");
  check(Invariant::i5, true, "");  // nothing but files ever came to this host
  const std::int64_t left_ms = issued.said.lease_ttl_ms - (w.metered_ms - known.from_ms);
  check(Invariant::i1, made.permit.facts().deadline_boot_ms - w.host.now().boot_ms <= left_ms,
        "a permit outlives the lease", Row::over_ttl);
  ++issued.allowed[id];
  ++issued.chains[chain].allowed[id];
  issued.times[id].push_back(w.metered_ms);
  known.idle_from_ms = w.metered_ms;
  known.running.insert(made.call);
  w.decisions.insert(made.decision.hex());
  keep_floor(w);
  check_lease(w, task, chain);
}

void History::settle(Watched& w) {
  for (auto& [task, known] : w.tasks) {
    if (known.running.empty()) continue;
    const CallId call = *known.running.begin();
    authority::Outcome outcome;
    outcome.state = dice_.percent(80) ? authority::CallState::done : authority::CallState::failed;
    outcome.code = outcome.state == authority::CallState::done ? Code::ok : Code::tool_failed;
    outcome.result_bytes = 10;
    Result<EndReason> reason;
    if (!w.host.run([&](authority::Authority& authority) {
          reason = authority.settle(call, outcome, w.host.now());
        })) {
      known.idle_from_ms = w.metered_ms;
      return;
    }
    tell("settle " + task.hex().substr(0, 8) + (reason.ok() ? "" : ": " + to_line(reason.error())));
    // Where that could not be written, it is still under way.
    if (!reason.ok() && storage_error(w, reason.error())) return;
    known.running.erase(call);
    known.idle_from_ms = w.metered_ms;
    if (!reason.ok()) return;
    if (*reason != EndReason::none) end_task(w, task, *reason);
    return;
  }
  call(w);
}

// True: it has ended.
bool History::end_task(Watched& w, const TaskId& task, EndReason reason,
                       const authority::EndedBy& by) {
  Status begun = success();
  Result<authority::TaskState> ended;
  const bool finishes = dice_.percent(80);
  if (!w.host.run([&](authority::Authority& authority) {
        begun = authority.begin_ending(task, reason, w.host.now(), by);
        if (begun.ok() && finishes) ended = authority.finish(task, w.host.now());
      }))
    return false;
  tell("end " + task.hex().substr(0, 8) + " " + std::string(authority::end_reason_name(reason)) +
       ": " + (begun.ok() ? "ok" : to_line(begun.error())));
  if (!begun.ok()) {
    storage_error(w, begun.error());
    return false;
  }
  Known& known = w.tasks.at(task);
  known.over = true;
  known.running.clear();
  if (!finishes) return true;
  if (!ended.ok()) storage_error(w, ended.error());
  if (ended.ok() &&
      (*ended == authority::TaskState::cancelled || *ended == authority::TaskState::revoked))
    centre_.issued()[known.capsule].ended_for_good = true;
  return true;
}

void History::end(Watched& w) {
  std::vector<TaskId> tasks;
  for (const auto& [task, known] : w.tasks)
    if (!known.over) tasks.push_back(task);
  if (tasks.empty()) return give_capsule(w);
  const TaskId task = dice_.of(tasks);
  const std::vector<EndReason> reasons = {EndReason::completion, EndReason::completion,
                                          EndReason::cancelled, EndReason::operator_kill,
                                          EndReason::failure};
  if (!end_task(w, task, dice_.of(reasons))) return;
  // At once again, by whom it was served.
  const Known& known = w.tasks.at(task);
  if (w.host.up() && !known.attached.empty())
    call_once(w, task, *known.attached.begin(), "file.read", "/t/a/x");
}

// A new capsule to a host that nothing is wrong with must be activated, and run.
bool History::fresh(Watched& w, Invariant invariant) {
  const std::size_t capsule = centre_.issue_plain(w.number, w.host.address(), true_s());
  const auto before = w.tasks.size();
  give_chain(w, capsule, 0);
  bool runs = false;
  if (w.host.up() && w.tasks.size() > before) {
    const auto made = std::ranges::find_if(
        w.tasks, [&](const auto& entry) { return entry.second.capsule == capsule; });
    runs = call_once(w, made->first, 0, "file.read", "/t/a/x");
  }
  // An owner that finds only now what a fault did to its marker goes, and was not well.
  if (!w.host.up()) return false;
  check(invariant, runs, "a fresh capsule does not run on a host that is well");
  return runs;
}

}  // namespace taper::sim
