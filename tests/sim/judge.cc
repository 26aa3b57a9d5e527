#include <algorithm>
#include <iostream>

#include "store/engine.h"
#include "tests/sim/history.h"

namespace taper::sim {
namespace {

// By which the model's time may be off where it rounds otherwise than the host does.
constexpr std::int64_t kMarginS = 30;
constexpr std::int64_t kClockMarginS = 5;

bool under(const std::string& path, const std::vector<capsules::ArgRule>& rules) {
  for (const capsules::ArgRule& rule : rules) {
    for (const capsules::Constraint& constraint : rule.all) {
      const auto* tree = std::get_if<capsules::Under>(&constraint);
      if (tree != nullptr && path != tree->tree && !path.starts_with(tree->tree + "/"))
        return false;
    }
  }
  return true;
}

template <class Grants>
auto named(const Grants& grants, const std::string& id) {
  const auto found =
      std::ranges::find_if(grants, [&](const auto& grant) { return grant.id == id; });
  return found == grants.end() ? nullptr : &*found;
}

std::string id_of(const std::string& tool) { return tool.substr(tool.find('.') + 1); }

}  // namespace

bool History::right_clock(const Watched& w) const {
  return std::abs(w.host.now().wall_s - true_s()) <= 2;
}

bool History::is_ahead(const Watched& w) const {
  return w.host.now().wall_s > true_s() + kClockMarginS;
}

bool History::healthy(const Watched& w) const {
  return w.host.up() && w.host.trouble.quiet() && w.host.trouble.errors == 0 && !w.suspect &&
         !w.ahead && right_clock(w) && w.root_version == centre_.version() &&
         true_s() - centre_.issued_s(centre_.version()) < 6 * 86'400;
}

// Whether it may hold the time to be anchored.
bool History::anchored(const Watched& w) const {
  return w.anchored_boot_ms && w.host.now().boot_ms - *w.anchored_boot_ms < limits::kTimeAnchorMs;
}

History::Verdict History::against_time(const Watched& w, const Issued& issued,
                                       const Chain& chain) const {
  Verdict out;
  const capsules::Capsule& said = issued.said;
  std::int64_t not_after_s = said.not_after_s;
  if (chain.block)
    not_after_s = std::min(not_after_s, chain.block->not_after_s.value_or(not_after_s));
  const std::int64_t floor_s = w.floor_ms / 1000;
  if (floor_s - kMarginS >= not_after_s)
    out.push_back({Invariant::i1, Row::after_proof, "after signed proof that its window is over"});
  if (right_clock(w) && true_s() - kClockMarginS >= not_after_s)
    out.push_back({Invariant::i1, Row::none, "by a right clock its window is over"});
  if (said.time_assurance == capsules::TimeAssurance::anchored && !anchored(w))
    out.push_back({Invariant::i1, Row::none, "its time is not anchored"});
  const bool needs_clock = said.time_assurance != capsules::TimeAssurance::behind;
  if (needs_clock && !anchored(w) &&
      floor_s - limits::kClockStepToleranceS - kMarginS > w.host.now().wall_s)
    out.push_back({Invariant::i1, Row::none, "its clock stands before signed time"});
  if (w.root_version == 0) return out;
  if (!centre_.lists(w.root_version, issued.issuer))
    out.push_back({Invariant::i1, Row::none, "its issuer is not listed any more"});
  const std::int64_t age_s = true_s() - kClockMarginS - centre_.issued_s(w.root_version);
  if (right_clock(w) && age_s > said.max_revocation_age_s)
    out.push_back({Invariant::i1, Row::none, "news on revocations are too old"});
  return out;
}

History::Verdict History::against_activation(const Watched& w, std::size_t capsule,
                                             std::size_t chain) const {
  const Issued& issued = const_cast<History*>(this)->centre_.issued()[capsule];
  Verdict out = against_time(w, issued, issued.chains[chain]);
  const bool here = issued.said.audience.node == w.host.address().node &&
                    issued.said.audience.incarnation == w.host.address().incarnation;
  if (!here) out.push_back({Invariant::i3, Row::none, "it is for another host or incarnation"});
  if (right_clock(w) && !w.ahead && !anchored(w) &&
      true_s() + kClockMarginS < issued.said.not_before_s)
    out.push_back({Invariant::i1, Row::none, "its window is not open"});
  const bool lives = std::ranges::any_of(w.tasks, [&](const auto& entry) {
    return entry.second.capsule == capsule && !entry.second.over;
  });
  if (lives) return out;
  if (issued.activations >= issued.said.activations)
    out.push_back({Invariant::i2, Row::replayed, "its activations are spent"});
  if (issued.ended_for_good)
    out.push_back({Invariant::i2, Row::replayed, "a task of it was cancelled or revoked"});
  return out;
}

void History::against_budget(const Watched& w, const Issued& issued, const Chain& chain,
                             const std::string& tool, Verdict& out) const {
  const std::string id = id_of(tool);
  const auto* grant = named(issued.said.grants, id);
  if (grant == nullptr) return;
  const auto spent = [&id](const std::map<std::string, std::int64_t>& counts) {
    const auto found = counts.find(id);
    return found == counts.end() ? 0 : found->second;
  };
  if (grant->budget.calls && spent(issued.allowed) >= *grant->budget.calls)
    out.push_back({Invariant::i2, Row::none, "its calls are spent"});
  const auto* kept = chain.block ? named(chain.block->grants, id) : nullptr;
  if (kept != nullptr && kept->budget.calls && spent(chain.allowed) >= *kept->budget.calls)
    out.push_back({Invariant::i2, Row::none, "its chain's calls are spent"});
  const auto times = issued.times.find(id);
  if (!grant->budget.rate || times == issued.times.end()) return;
  // A bucket: in any stretch no more than it holds and what has flowed in.
  const capsules::Rate& rate = *grant->budget.rate;
  for (std::size_t i = 0; i < times->second.size(); ++i) {
    const auto count = static_cast<std::int64_t>(times->second.size() - i) + 1;
    const std::int64_t passed = std::max<std::int64_t>(0, w.metered_ms - times->second[i]);
    if (count <= rate.count + (passed * rate.count) / rate.per_ms) continue;
    out.push_back({Invariant::i2, Row::none, "its rate is spent"});
    return;
  }
}

History::Verdict History::against_call(const Watched& w, const Known& known, std::size_t chain,
                                       const std::string& tool, const std::string& path) const {
  const Issued& issued = const_cast<History*>(this)->centre_.issued()[known.capsule];
  const Chain& asks = issued.chains[chain];
  Verdict out = against_time(w, issued, asks);
  const auto shorter = [&](std::int64_t whole, const auto& narrowed) {
    return std::min(whole, narrowed.value_or(whole));
  };
  const capsules::Block none;
  const capsules::Block& block = asks.block ? *asks.block : none;
  const std::int64_t used_ms = w.metered_ms - known.from_ms;
  if (known.over) out.push_back({Invariant::i1, Row::none, "its end was durable"});
  if (used_ms >= issued.said.lease_ttl_ms)
    out.push_back({Invariant::i1, Row::over_ttl, "active for longer than its ttl"});
  if (used_ms >= shorter(issued.said.lease_ttl_ms, block.lease_ttl_ms))
    out.push_back({Invariant::i1, Row::none, "active for longer than its chain's ttl"});
  std::int64_t idle_ms = shorter(issued.said.lease_idle_ms, block.lease_idle_ms);
  if (issued.said.offline && !anchored(w)) {
    idle_ms = std::min(idle_ms, issued.said.offline->max_idle_ms);
    if (used_ms >= issued.said.offline->max_ttl_ms)
      out.push_back({Invariant::i1, Row::none, "active for longer than it may be offline"});
  }
  if (known.running.empty() && w.metered_ms - known.idle_from_ms >= idle_ms)
    out.push_back({Invariant::i1, Row::none,
                   "idle for " + std::to_string(w.metered_ms - known.idle_from_ms) + " ms of " +
                       std::to_string(idle_ms)});
  const auto* grant = named(issued.said.grants, id_of(tool));
  const auto* kept = asks.block ? named(asks.block->grants, id_of(tool)) : nullptr;
  if (grant == nullptr || (asks.block && kept == nullptr)) {
    out.push_back({Invariant::i3, Row::none, "no grant has that tool"});
  } else if (!under(path, grant->args) || (kept != nullptr && !under(path, kept->args))) {
    out.push_back({Invariant::i3, Row::none, "no grant allows that path"});
  }
  against_budget(w, issued, asks, tool, out);
  return out;
}

void History::check(Invariant invariant, bool holds, const std::string& what, Row row) {
  const auto at = static_cast<std::size_t>(invariant);
  ++report_.checks[at];
  if (holds) return;
  ++report_.violations[at];
  rows_[static_cast<std::size_t>(row)] = true;
  if (told_++ >= options_.tell_at_most) return;
  std::cerr << "seed " << seed_ << " operation " << number_ << ": I" << at + 1 << ": " << what
            << "\n";
}

void History::hold(const Watched& w, const Verdict& verdict, bool let_through,
                   const std::string& what) {
  for (const Reason& reason : verdict) {
    const Now now = w.host.now();
    check(reason.invariant, !let_through,
          what + ", " + reason.what + " (true time " + format_utc_s(true_s()) + ", its clock " +
              format_utc_s(now.wall_s) + ", signed " + format_utc_s(w.floor_ms / 1000) + ")",
          reason.row);
  }
}

// What is left of a lease only falls.
void History::check_lease(Watched& w, const TaskId& task, std::size_t chain) {
  Known& known = w.tasks.at(task);
  const Issued& issued = centre_.issued()[known.capsule];
  const auto left =
      w.host.authority().remaining(task, issued.chains[chain].hash, std::nullopt, w.host.now());
  // What is allowed offline is less, until the time is anchored.
  if (!left || chain != 0 || issued.said.offline) return;
  if (known.least_left)
    check(Invariant::i3, left->lease_ms <= *known.least_left, "a lease has grown");
  known.least_left = std::min(left->lease_ms, known.least_left.value_or(left->lease_ms));
}

// On the disk, at this moment.
bool History::in_log(const Watched& w, const DecisionId& decision) const {
  const auto txn = w.host.image()->engine->begin(store::Access::read);
  TAPER_ASSERT(txn.ok());
  bool found = false;
  int looked = 0;
  const std::string name = decision.hex();
  const Status scanned =
      (*txn)->scan_back(store::Table::log_leaves, {}, [&](ByteSpan, ByteSpan leaf) {
        const std::string_view body = as_text(leaf);
        found = body.find(name) != std::string_view::npos &&
                body.find(R"("verdict":"allow")") != std::string_view::npos;
        return !found && ++looked < 8;
      });
  return scanned.ok() && found;
}

void History::fault(const std::string& kind, std::uint64_t count) {
  if (count == 0) return;
  report_.faults[kind] += count;
  kinds_.insert(kind);
}

void History::tell(const std::string& what) const {
  if (options_.trace) std::cerr << "  " << number_ << " " << what << "\n";
}

}  // namespace taper::sim
