// The centre and the hosts' logs: what it has seen of them, what an auditor releases, and the
// orders that it signs.
#include <algorithm>

#include "crypto/crypto.h"
#include "tests/sim/history.h"

namespace taper::sim {

namespace {

// What the centre keeps of what comes before this log; null: nothing does.
const Archived* before(const Watched& w, ByteSpan log) {
  const auto front = store::read_log_front(log);
  if (!front.ok() || front->first == 0) return nullptr;
  const auto from = std::ranges::find_if(
      w.archived, [&](const Archived& one) { return one.end.size == front->first; });
  return from == w.archived.end() ? nullptr : &*from;
}

std::string decision_of(const store::LogRecord& record) {
  constexpr std::string_view kName = R"("decision":")";
  const std::size_t at = record.body.find(kName);
  if (at == std::string_view::npos || record.type_name != "decision") return "";
  return std::string(record.body.substr(at + kName.size(), 2 * DecisionId::kSize));
}

}  // namespace

store::LogTrust History::trust(const Watched& w, ByteSpan log) {
  store::LogTrust out = w.host.trust();
  if (const Archived* kept = before(w, log)) out.after = kept->end;
  return out;
}

// The centre asks for the log: it verifies, goes on from what it has seen, and tells every call.
void History::witness(Watched& w) {
  const Result<Bytes> log = w.host.export_log();
  if (!log.ok()) return check(Invariant::i4, false, "the log cannot be exported");
  const auto verified = store::verify_log(*log, trust(w, *log));
  check(Invariant::i4, verified.ok(), "the log does not verify");
  if (!verified.ok()) return;
  std::set<std::string> missing = w.decisions;
  const Archived* kept = before(w, *log);
  Hash sum = kept == nullptr ? Hash{} : kept->sum;
  Hash then = verified->first == w.witnessed ? sum : Hash{};
  const Status read = store::read_log(*log, [&](const store::LogRecord& record) {
    sum = crypto::hash({sum.span(), as_bytes(record.body)});
    if (record.number + 1 == w.witnessed) then = sum;
    missing.erase(decision_of(record));
  });
  check(Invariant::i4, read.ok() && missing.empty(), "a call that was allowed is not in the log");
  if (w.witnessed > 0)
    check(Invariant::i4, verified->records >= w.witnessed && then == w.witnessed_hash,
          "the log is not what it was, and more");
  w.witnessed = verified->records;
  w.witnessed_hash = sum;
  if (w.host.up() && w.root_version > 0 && dice_.percent(50)) release(w, *log, *verified);
}

// An auditor archives what he has verified, whole or in part; at times an old release comes again.
void History::release(Watched& w, ByteSpan log, const store::VerifiedLog& whole) {
  const std::uint64_t most = whole.records;
  const std::uint64_t least = std::max<std::uint64_t>(whole.first, 2);
  if (most <= least) return;
  const auto size = static_cast<std::uint64_t>(
      dice_.roll(static_cast<std::int64_t>(least), static_cast<std::int64_t>(most)));
  const auto marked = store::verify_log(log, trust(w, log), {.marks = {size}});
  if (!marked.ok() || marked->marked.empty()) return;
  const Archived* kept = before(w, log);
  Archived made{marked->marked[0], kept == nullptr ? Hash{} : kept->sum};
  const Status read = store::read_log(log, [&](const store::LogRecord& record) {
    if (record.number >= size) return;
    made.sum = crypto::hash({made.sum.span(), as_bytes(record.body)});
    w.decisions.erase(decision_of(record));
  });
  check(Invariant::i4, read.ok(), "a log that verified cannot be read");
  w.archived.push_back(made);
  const Address& to = w.host.address();
  const Bytes file = centre_.release({to.node, to.incarnation, size, made.end.root(), {}});
  Status taken = success();
  if (!w.host.run([&](authority::Authority& authority) {
        taken = authority.import_release(file, w.host.now());
      }))
    return;
  tell("release of " + std::to_string(size) +
       " records: " + (taken.ok() ? "ok" : to_line(taken.error())));
  if (!taken.ok() && storage_error(w, taken.error())) return;
  check(Invariant::i5, taken.ok(), "a release of what was exported is refused");
  if (w.host.up()) prune(w);
}

void History::prune(Watched& w) {
  Result<bool> more = false;
  do {
    if (!w.host.run([&](authority::Authority& authority) { more = authority.prune(w.host.now()); }))
      return;
  } while (more.ok() && *more);
  if (!more.ok()) storage_error(w, more.error());
}

// The centre ends a task: by a file that may come to another host, and again.
void History::give_order(Watched& w) {
  std::vector<std::pair<Watched*, TaskId>> tasks;
  for (Watched& host : hosts_)
    for (const auto& [task, known] : host.tasks)
      if (!known.over || dice_.percent(20)) tasks.emplace_back(&host, task);
  if (tasks.empty() || w.root_version == 0) return give_capsule(w);
  const auto [its, task] = dice_.of(tasks);
  const bool forged = dice_.percent(10);
  const Bytes file = centre_.order({task, "a history", true_s(), {}}, forged);
  const Result<capsules::Order> order = w.host.authority().open_order(file);
  check(Invariant::i3, order.ok() != forged, "an order counts by whom it was signed");
  if (!order.ok()) return;
  const std::vector<TaskId> live = w.host.authority().live_tasks();
  const bool here = std::ranges::find(live, task) != live.end();
  check(Invariant::i3, !here || its == &w, "a task lives on a host that it is not for");
  if (its != &w) fault("misrouted_order");
  if (!here) return;
  tell("order");
  end_task(w, task, authority::EndReason::operator_kill, {{}, *order});
}

}  // namespace taper::sim
