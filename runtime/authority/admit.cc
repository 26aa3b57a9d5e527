#include <algorithm>

#include "capsules/secret.h"
#include "crypto/crypto.h"
#include "runtime/authority/profile.h"
#include "runtime/authority/session_statement.h"
#include "runtime/authority/state.h"
#include "runtime/authority/time_report.h"

namespace taper::authority {
namespace {

using capsules::Capsule;
using capsules::VerifiedCapsule;

Status check_audience(const Capsule& capsule, const NodeFacts& node) {
  if (capsule.audience.node != node.node)
    return refusal(Code::audience_other, "node", node.node.hex(), capsule.audience.node.hex());
  if (capsule.audience.incarnation != node.incarnation)
    return refusal(Code::audience_other, "incarnation", node.incarnation.hex(),
                   capsule.audience.incarnation.hex());
  return success();
}

Status check_root(const capsules::TrustRoot& root, const Estimate& time, const Now& now) {
  const std::int64_t expires = root.data().expires_s.value_or(time.s + 1);
  if (time.s < expires) return success();
  return time_denial(Code::root_expired, "root", "before " + format_utc_s(expires), expires, time.s,
                     time.source, now);
}

Status check_time_and_window(const Capsule& capsule, const Terms& limits, const Estimate& time,
                             const Now& now) {
  TAPER_CHECK(check_assurance(capsule, time, now));
  // An anchor says between what and what the time is: ends go by the late edge, a beginning by the
  // early one.
  const bool anchored = time.standing == capsules::TimeAssurance::anchored;
  const std::int64_t sure_s = anchored ? time.least_s : time.s;
  if (sure_s < limits.not_before_s)
    return time_denial(Code::window_not_open, "window", "from " + format_utc_s(limits.not_before_s),
                       limits.not_before_s, sure_s, anchored ? time.least_source : time.source,
                       now);
  return check_not_after(limits, time, now);
}

Status check_kept(std::uint32_t all, std::uint32_t issuers) {
  const auto too_many = [](const std::string& whose, std::uint32_t most) {
    return refusal(Code::activations_kept, "activations",
                   "fewer than " + std::to_string(most) + whose, std::to_string(most));
  };
  if (issuers >= limits::kIssuerActivationsMax)
    return too_many(" by capsules of one issuer", limits::kIssuerActivationsMax);
  if (all >= limits::kKeptActivationsMax) return too_many(" in all", limits::kKeptActivationsMax);
  return success();
}

Status check_inputs(const Capsule& capsule, const std::map<std::string, std::string>& inputs) {
  const std::vector<std::string>& wanted = capsule.plan.inputs;
  for (const auto& [name, value] : inputs) {
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end())
      return refusal(Code::input_unknown, name, "an input of the plan", "another");
    if (value.size() > limits::kTextBytesMax || !is_utf8(value))
      return refusal(Code::too_large, name,
                     "UTF-8, at most " + std::to_string(limits::kTextBytesMax) + " bytes",
                     std::to_string(value.size()) + " bytes");
  }
  for (const std::string& name : wanted) {
    if (!inputs.contains(name)) return refusal(Code::input_missing, name, "a value", "none");
  }
  return success();
}

Hash inputs_hash(const std::map<std::string, std::string>& inputs) {
  return crypto::hash(encode_inputs(inputs));
}

TaskRecord new_record(const VerifiedCapsule& capsule, const Estimate& time, const Now& now) {
  const Capsule& root = capsule.root();
  const Terms limits = terms(root, {});
  TaskRecord record;
  record.capsule = capsule.id();
  record.chain = capsule.chain();
  record.holder = capsule.holder();
  record.issuer = root.issuer;
  record.serial = root.serial;
  record.root_version = capsule.root_version();
  record.purpose = root.purpose;
  record.requester = root.requester;
  record.agent = root.agent;
  record.tenant = root.tenant;
  record.activated_s = time.s;
  record.not_after_s = limits.not_after_s;
  record.ttl_ms = limits.ttl_ms;
  record.idle_ms = limits.idle_ms;
  record.long_lease = root.long_lease;
  record.end_on = root.end_on;
  record.state = TaskState::active;
  record.seen = now;
  return record;
}

}  // namespace

Bytes activation_statement(const Hash& fleet, const PublicKey& node, const Incarnation& incarnation,
                           const Hash& chain, const Nonce& challenge,
                           const std::map<std::string, std::string>& inputs) {
  ByteWriter out;
  out.raw(fleet.span()).raw(node.span()).raw(incarnation.span()).raw(chain.span());
  out.raw(challenge.span()).raw(inputs_hash(inputs).span());
  return std::move(out).bytes();
}

Status Authority::State::keep_evidence(const VerifiedCapsule& capsule, const Hash& known,
                                       const Now& now) {
  const Bytes once = ByteWriter().text("evidence").raw(capsule.id().span()).bytes();
  auto committed = commit(now, [&](store::WriteTxn& txn) -> Status {
    TAPER_CHECK(txn.put_new(store::Table::replay, once, {}));
    capsules::Object body{{"verb", "activate"},
                          {"evidence", describe(Code::serial_reused).name},
                          {"capsule", capsule.id().hex()},
                          {"known", known.hex()},
                          {"issuer", capsule.root().issuer.hex()},
                          {"serial", std::to_string(capsule.root().serial)}};
    add_clocks(body, now);
    TAPER_CHECK(txn.append(store::LeafType::evidence, capsules::write_canonical(body)));
    return success();
  });
  if (committed.code() == Code::key_present) return success();  // kept before
  TAPER_CHECK(std::move(committed));
  return success();
}

Result<crypto::Secret> Authority::State::unseal(const Capsule& capsule,
                                                const capsules::SealedSecret& secret) const {
  if (!node.unseal)
    return refusal(Code::secret_unsealed, "seal.key", "the node's key for sealed secrets", "none");
  return capsules::open_secret(capsule, secret, *node.unseal);
}

Result<std::vector<CallSecret>> Authority::State::release(const Capsule& capsule,
                                                          const capsules::Grant& grant) const {
  std::vector<CallSecret> out;
  for (const capsules::SealedSecret& secret : capsule.secrets) {
    if (std::ranges::find(grant.secrets, secret.name) == grant.secrets.end()) continue;
    TAPER_TRY(crypto::Secret value, unseal(capsule, secret));
    out.push_back({secret.name, std::move(value)});
  }
  return out;
}

Status Authority::State::admit(const VerifiedCapsule& capsule, const Tools& tools, const Now& now,
                               Candidate& candidate) {
  const Capsule& root_block = capsule.root();
  const Estimate known_time = estimate(time, root_block.issued_at_s, now);
  TAPER_CHECK(check_audience(root_block, node));
  TAPER_CHECK(check_root(*root, known_time, now));
  TAPER_CHECK(
      check_time_and_window(root_block, terms(root_block, capsule.blocks()), known_time, now));
  TAPER_CHECK(check_news(root_block, around().news_s, known_time, now));

  std::optional<Hash> known;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    const Bytes key = serial_key(root_block.issuer, root_block.serial);
    TAPER_TRY(const auto found, txn.get(store::Table::serials, key));
    if (found) known = Hash::from(*found).value_or(Hash{});
    TAPER_TRY(candidate.activations, read_activations(txn, capsule.id()));
    TAPER_TRY(candidate.kept, read_kept(txn, Hash{}));
    TAPER_TRY(candidate.issuers, read_kept(txn, root_block.issuer));
    return success();
  }));
  if (known && *known != capsule.id()) {
    TAPER_CHECK(keep_evidence(capsule, *known, now));
    return refusal(Code::serial_reused, "serial", known->hex(), capsule.id().hex());
  }
  candidate.branch.emplace(capsule);
  for (auto& [id, task] : live) {
    if (task.record.capsule != capsule.id()) continue;
    if (!task.acting()) return refusal(Code::already_live, "task", "an active one", id.hex());
    const Lapse over = lapse(task, *candidate.branch, around(), now);
    if (over.question != Question::none)
      return refusal(over.code, "time", over.expected.empty() ? "time left" : over.expected,
                     over.expected.empty() ? "none" : over.got);
    candidate.joins = &task;
  }
  if (candidate.joins == nullptr && candidate.activations >= root_block.activations)
    return refusal(Code::activations_spent, "activations",
                   std::to_string(root_block.activations) + " in all, and never ended for good",
                   candidate.activations < limits::kActivationsMax
                       ? std::to_string(candidate.activations) + " spent"
                       : "a task of it was cancelled or revoked, which spends them all");
  if (candidate.joins == nullptr) TAPER_CHECK(check_kept(candidate.kept, candidate.issuers));
  if (node.tier < root_block.min_tier)
    return refusal(Code::tier_unreachable, "tier", tier_name(root_block.min_tier),
                   tier_name(node.tier));
  TAPER_CHECK(check_policy(node.policy, root_block.lease_ttl_ms));
  for (const capsules::SealedSecret& secret : root_block.secrets)
    TAPER_CHECK(unseal(root_block, secret));  // and wiped: each call opens its own again
  TAPER_CHECK(compile_profiles(*candidate.branch, tools, node.forbidden_trees));
  for (const auto& trees : candidate.branch->trees) {
    if (trees) TAPER_CHECK(check_mounts(*trees, node.mount_points));
  }
  return success();
}

Status Authority::State::check_entry(const Candidate& candidate, const Tools& tools,
                                     const ActivationRequest& request) const {
  const Capsule& root_block = candidate.branch->capsule.root();
  if (root_block.entry == capsules::EntryKind::agent)
    TAPER_CHECK(agent_trees(root_block.agent_entry, tools, candidate.branch->trees,
                            node.forbidden_trees, node.mount_points));
  TAPER_CHECK(check_inputs(root_block, request.inputs));
  if (candidate.joins == nullptr) return success();
  return may_join(*candidate.joins, candidate.branch->capsule, request);
}

bool Authority::State::proof_holds(const ActivationRequest& request,
                                   const VerifiedCapsule& capsule) const {
  const bool session = capsule.root().entry == capsules::EntryKind::session;
  // Who opens a session may not run a plan or an agent by it.
  if (!session && !request.exchange.is_zero()) return false;
  const Bytes statement =
      session ? session_statement({root->fleet(), node.node, node.incarnation, capsule.chain(),
                                   request.challenge, request.exchange})
              : activation_statement(root->fleet(), node.node, node.incarnation, capsule.chain(),
                                     request.challenge, request.inputs);
  const auto type = session ? crypto::statement::kSession : crypto::statement::kActivation;
  return crypto::verify(capsule.holder(), type, statement, request.proof);
}

Status Authority::State::check_proof(const ActivationRequest& request,
                                     const VerifiedCapsule& capsule) {
  const auto found = std::find(challenges.begin(), challenges.end(), request.challenge);
  if (found == challenges.end())
    return refusal(Code::proof_wrong, "challenge", "one of this node's, used once", "another");
  challenges.erase(found);
  if (proof_holds(request, capsule)) return success();
  return refusal(Code::proof_wrong, "holder", capsule.holder().hex(), "another key's signature");
}

Error Authority::State::count_refusal(const Error& error, const Now& now) {
  ++refused[error.code()];
  const bool due = !refusals_logged || elapsed_ms(*refusals_logged, now) >= limits::kRefusalLogMs;
  // The refusal stands whether or not it could be logged; what is not logged stays counted.
  if (due) static_cast<void>(commit(now, [](store::WriteTxn&) { return success(); }));
  return error;
}

Result<Activation> Authority::State::make_task(Candidate candidate,
                                               const ActivationRequest& request, const Now& now) {
  Branch& branch = *candidate.branch;
  const Estimate known_time = estimate(time, branch.capsule.root().issued_at_s, now);
  LiveTask task(crypto::random_id<TaskId>(), new_record(branch.capsule, known_time, now),
                branch.capsule);
  TaskRecord& record = task.record;
  record.inputs = inputs_hash(request.inputs);
  record.policy = node.policy.hash;
  capsules::Object body = task_body("activate", task.id, record, now);
  body.emplace_back("verdict", "allow");
  body.emplace_back("number", count_value(0));
  body.emplace_back("node", node.node.hex());
  body.emplace_back("incarnation", node.incarnation.hex());
  body.emplace_back("inputs_digest", record.inputs.hex());
  if (!record.policy.is_zero()) body.emplace_back("node_policy", record.policy.hex());
  body.emplace_back("activation", count_value(candidate.activations + 1));
  body.emplace_back("ttl_ms", record.ttl_ms);
  body.emplace_back("not_after", format_utc_s(record.not_after_s));
  const auto one_more = [](std::uint32_t count) { return ByteWriter().u32(count + 1).bytes(); };
  auto committed = commit(now, [&](store::WriteTxn& txn) -> Status {
    using store::Table;
    TAPER_CHECK(append_for(txn, store::LeafType::activation, body, record));
    TAPER_CHECK(
        txn.put(Table::activations, record.capsule.span(), one_more(candidate.activations)));
    TAPER_CHECK(txn.put(Table::activations, kept_key(Hash{}), one_more(candidate.kept)));
    TAPER_CHECK(txn.put(Table::activations, kept_key(record.issuer), one_more(candidate.issuers)));
    TAPER_CHECK(
        txn.put(Table::serials, serial_key(record.issuer, record.serial), record.capsule.span()));
    TAPER_CHECK(
        txn.put(Table::capsules, capsule_key(record.capsule, record.chain), request.capsule_file));
    TAPER_CHECK(txn.put(Table::tasks, inputs_key(task.id), encode_inputs(request.inputs)));
    TAPER_CHECK(put_chain(txn, task.id, record.chain, {record.holder, branch.limits.idle_ms}));
    TAPER_CHECK(put_task(txn, task.id, record));
    TAPER_CHECK(load_task(txn, task));
    return load_branch(txn, task, branch, now);
  });
  TAPER_CHECK(std::move(committed));
  task.attach(std::move(branch));
  const Activation made{task.id, record.chain, record.holder};
  live.emplace(made.task, std::move(task));
  return made;
}

Status Authority::State::may_join(const LiveTask& task, const VerifiedCapsule& capsule,
                                  const ActivationRequest& request) const {
  if (task.inputs != request.inputs)
    return refusal(Code::inputs_changed, "inputs", task.record.inputs.hex(),
                   inputs_hash(request.inputs).hex());
  if (task.record.log_bytes >= static_cast<std::uint64_t>(task.root().log_quota_bytes))
    return refusal(Code::log_quota, "log", std::to_string(task.root().log_quota_bytes) + " bytes",
                   std::to_string(task.record.log_bytes));
  if (task.chains.contains(capsule.chain())) return success();
  if (task.chains.size() < limits::kChainsMax) return may_branch(task, capsule);
  return refusal(Code::too_large, "chains", "at most " + std::to_string(limits::kChainsMax),
                 "one more");
}

// A chain that joined stays until the task ends, so none takes the room of others: neither one to
// whom it was handed, nor all such together.
Status Authority::State::may_branch(const LiveTask& task, const VerifiedCapsule& capsule) const {
  const PublicKey mine = branch_holder(capsule.root(), capsule.blocks());
  if (mine == capsule.root().holder) return success();
  std::size_t same = 0;
  std::size_t handed_on = 0;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    for (const auto& [chain, known] : task.chains) {
      TAPER_TRY(const auto file,
                txn.get(store::Table::capsules, capsule_key(task.record.capsule, chain)));
      if (!file) continue;
      TAPER_TRY(const auto said, capsules::read_untrusted(*file, {}));  // verified when it joined
      const PublicKey other = branch_holder(said.root, said.blocks);
      same += other == mine ? 1 : 0;
      handed_on += other == said.root.holder ? 0 : 1;
    }
    return success();
  }));
  if (same < limits::kChainsPerBranchMax &&
      handed_on + limits::kChainsForHolder < limits::kChainsMax)
    return success();
  return refusal(Code::too_large, "chains",
                 "at most " + std::to_string(limits::kChainsPerBranchMax) +
                     " of one whom it was handed to, " +
                     std::to_string(limits::kChainsMax - limits::kChainsForHolder) + " of all such",
                 "one more");
}

Result<Activation> Authority::State::join(Candidate candidate, const ActivationRequest& request,
                                          const Now& now) {
  LiveTask& task = *candidate.joins;
  Branch& branch = *candidate.branch;
  const Caller caller{branch.capsule.chain(), branch.capsule.holder()};
  const bool known = task.chains.contains(caller.chain);
  TaskRecord next = task.record;
  task.bring(next, now);
  capsules::Object body = task_body(known ? "resume" : "join", task.id, next, now, caller);
  body.emplace_back("verdict", "allow");
  body.emplace_back("number", count_value(0));
  body.emplace_back("inputs_digest", inputs_hash(request.inputs).hex());
  body.emplace_back("active_ms", next.active_ms);
  body.emplace_back("blocks", count_value(branch.capsule.blocks().size()));
  const ChainRecord record =
      known ? task.chains.at(caller.chain) : ChainRecord{caller.holder, branch.limits.idle_ms};
  auto committed = commit(now, [&](store::WriteTxn& txn) -> Status {
    TAPER_CHECK(append_for(txn, store::LeafType::activation, body, next));
    TAPER_CHECK(txn.put(store::Table::capsules, capsule_key(next.capsule, caller.chain),
                        request.capsule_file));
    TAPER_CHECK(put_chain(txn, task.id, caller.chain, record));
    TAPER_CHECK(put_task(txn, task.id, next));
    return load_branch(txn, task, branch, now);
  });
  TAPER_CHECK(std::move(committed));
  task.record = next;
  task.chains[caller.chain] = record;
  task.attach(std::move(branch));
  return Activation{task.id, caller.chain, caller.holder, true, !known};
}

bool Authority::proves(const ActivationRequest& request,
                       const capsules::VerifiedCapsule& capsule) const {
  return state_->root &&
         std::ranges::find(state_->challenges, request.challenge) != state_->challenges.end() &&
         state_->proof_holds(request, capsule);
}

Result<Activation> Authority::activate(const ActivationRequest& request, const Tools& tools,
                                       const Now& now) {
  State& state = *state_;
  // Its proof is worth nothing later either, when whatever refused it has passed.
  const auto refused = [&](const Error& error) {
    withdraw(request.challenge);
    return state.count_refusal(error, now);
  };
  if (!state.root) return refused(refusal(Code::no_trust_root, "root", "a trust root", "none"));
  const auto capsule = capsules::open(request.capsule_file, *state.root);
  if (!capsule) return refused(capsule.error());
  State::Candidate candidate;
  const Status admitted = state.admit(*capsule, tools, now, candidate);
  if (!admitted) return refused(admitted.error());
  const Status proven = state.check_proof(request, *capsule);
  if (!proven) return refused(proven.error());

  const Status fits = state.check_entry(candidate, tools, request);
  if (!fits) return refused(fits.error());
  return candidate.joins != nullptr ? state.join(std::move(candidate), request, now)
                                    : state.make_task(std::move(candidate), request, now);
}

}  // namespace taper::authority
