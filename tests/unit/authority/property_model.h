// Random capsules, blocks and calls, and what the pages say about them, counted anew for every
// question from the whole history. One program uses it.
#pragma once

#include <random>
#include <set>

#include "tests/unit/authority/harness.h"

namespace taper::testing::property {

using authority::CallState;
using capsules::ArgRule;
using capsules::Budget;
using capsules::Capsule;
using capsules::Grant;
using capsules::KeptGrant;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::int64_t roll(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(engine_);
  }
  bool one_in(std::int64_t count) { return roll(1, count) == 1; }
  template <class T>
  const T& of(const std::vector<T>& values) {
    return values[static_cast<std::size_t>(roll(0, std::int64_t(values.size()) - 1))];
  }

  int number() { return ++number_; }  // another each time

 private:
  std::mt19937_64 engine_;
  int number_ = 0;
};

inline const std::vector<std::string> kTrees = {"/t", "/t", "/t", "/t", "/t/a", "/t/b"};
inline const std::vector<std::string> kPaths = {"/t/a/x", "/t/a/y", "/t/a/z", "/t/b/x",
                                                "/t/b/y", "/t/b/z", "/u/x"};
inline const std::vector<std::string> kLabels = {"red", "green", "blue"};
inline const std::vector<std::string> kTools = {"file.read", "file.list"};

struct Call {
  std::string tool, path;
  std::optional<std::int64_t> number;  // max_bytes or max_entries
  std::string json() const {
    const std::string name = tool == "file.read" ? "max_bytes" : "max_entries";
    const std::string first = number ? "\"" + name + "\":" + std::to_string(*number) + "," : "";
    return "{" + first + "\"path\":\"" + path + "\"}";
  }
};
inline std::string number_of(const std::string& tool) {
  return tool == "file.read" ? "max_bytes" : "max_entries";
}

// --- random capsules

inline std::vector<std::string> some_labels(Dice& dice, std::int64_t one_in) {
  return dice.one_in(one_in) ? std::vector<std::string>{dice.of(kLabels)}
                             : std::vector<std::string>{};
}

inline Budget random_budget(Dice& dice, const std::string& tool, std::int64_t one_in) {
  Budget out;
  if (dice.one_in(one_in)) out.calls = dice.roll(2, 24);
  if (dice.one_in(one_in)) out.rate = capsules::Rate{dice.roll(1, 4), dice.roll(1, 3'000)};
  if (dice.one_in(one_in)) out.bytes = dice.roll(1, 6'000);
  if (dice.one_in(one_in)) out.cpu_ms = dice.roll(500, 30'000);
  if (dice.one_in(2 * one_in)) out.sum = capsules::Sum{number_of(tool), dice.roll(0, 400)};
  return out;
}

inline std::vector<ArgRule> random_rules(Dice& dice, const std::string& tool) {
  std::vector<ArgRule> out = {{"path", false, {capsules::Under{dice.of(kTrees)}}}};
  out.push_back({number_of(tool), true, {capsules::AtMost{dice.roll(60, 130)}}});
  return out;
}

inline Capsule random_capsule(Dice& dice, Fleet& fleet) {
  Capsule capsule = sample_capsule(fleet);
  capsule.lease_ttl_ms = capsule.lease_idle_ms = 3'600'000;
  capsule.end_on = {};
  capsule.end_on.denials = dice.one_in(5) ? dice.roll(3, 30) : 10'000;
  capsule.log_quota_bytes = 1'000'000'000;
  capsule.max_depth = 8;
  capsule.plan.steps = {{"one", "file.read", R"({"path":"/t/a/x"})", {}}};
  capsule.grants.clear();
  const std::int64_t count = dice.roll(2, 5);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string& tool = dice.of(kTools);
    Grant grant = sample_grant("g" + std::to_string(i), tool, capsules::Effect::read,
                               random_rules(dice, tool));
    grant.budget = random_budget(dice, tool, 4);
    grant.labels = some_labels(dice, 4);
    grant.refuse_after = some_labels(dice, 4);
    if (i > 0 && dice.one_in(4)) grant.after = {"g" + std::to_string(dice.roll(0, i - 1))};
    if (dice.one_in(12)) grant.idempotency = "path";
    grant.cell.output_bytes = dice.roll(100, 600);
    grant.cell.cpu_s = dice.roll(1, 4);
    capsule.grants.push_back(std::move(grant));
  }
  return capsule;
}

template <class Parents>
inline std::vector<KeptGrant> random_kept(Dice& dice, const Parents& parents,
                                          const std::map<std::string, std::string>& tools) {
  std::vector<KeptGrant> out;
  for (const auto& parent : parents) {
    const std::int64_t copies = dice.one_in(16) ? 0 : dice.one_in(6) ? 2 : 1;
    for (std::int64_t copy = 0; copy < copies && out.size() < 6; ++copy) {
      const std::string& tool = tools.at(parent.id);
      KeptGrant kept;
      kept.id = copy == 0 ? parent.id : "k" + std::to_string(dice.number());
      kept.parent = parent.id;
      if (dice.one_in(4)) kept.args = random_rules(dice, tool);
      kept.budget = random_budget(dice, tool, 10);
      if (dice.one_in(10)) kept.verbs = {capsules::Verb::result};
      kept.labels = some_labels(dice, 8);
      kept.refuse_after = some_labels(dice, 12);
      out.push_back(std::move(kept));
    }
  }
  return out;
}

using Key = std::shared_ptr<const crypto::SigningKey>;

struct Chain {
  Bytes file;
  std::vector<capsules::Block> blocks;
  std::vector<std::string> branches;  // of each block: all before it, and its holder
  Key holder;                         // the last
  Hash hash;
  std::optional<std::int64_t> ttl_ms, idle_ms;  // the least of its blocks

  void narrow(capsules::Block block, Key next) {
    block.holder = next->public_key();
    const auto lower = [](auto& mine, const auto& theirs) {
      if (theirs) mine = std::min(mine.value_or(*theirs), *theirs);
    };
    lower(ttl_ms, block.lease_ttl_ms);
    lower(idle_ms, block.lease_idle_ms);
    branches.push_back(capsules::next_previous(file)->hex() + block.holder.hex());
    file = narrow_capsule(file, block, *holder);
    blocks.push_back(std::move(block));
    holder = std::move(next);
  }
};

// Goes on from `start`. At times a holder hands on to a second key of his own, keeping all.
inline Chain random_chain(Dice& dice, const Capsule& capsule, const Chain& start,
                          const std::vector<Key>& keys) {
  std::map<std::string, std::string> tools;
  for (const Grant& grant : capsule.grants) tools[grant.id] = grant.tool;
  Chain chain = start;
  for (const capsules::Block& block : chain.blocks) {
    for (const KeptGrant& kept : block.grants) tools[kept.id] = tools.at(kept.parent);
  }
  const std::int64_t most = 8 - static_cast<std::int64_t>(chain.blocks.size());
  const std::int64_t depth = most == 0 || dice.one_in(3) ? 0 : dice.roll(1, most);
  for (std::int64_t i = 0; i < depth; ++i) {
    capsules::Block block;
    const bool first = chain.blocks.empty();
    if (dice.one_in(5)) {
      const auto keep = [&block](const auto& all) {
        for (const auto& grant : all) block.grants.push_back({grant.id, grant.id, {}, {}});
      };
      first ? keep(capsule.grants) : keep(chain.blocks.back().grants);
    } else {
      block.grants = first ? random_kept(dice, capsule.grants, tools)
                           : random_kept(dice, chain.blocks.back().grants, tools);
    }
    if (block.grants.empty()) break;
    if (dice.one_in(8)) block.lease_ttl_ms = dice.roll(500, 9'000);
    if (dice.one_in(8)) block.lease_idle_ms = dice.roll(300, 1'200);
    for (const KeptGrant& kept : block.grants) tools[kept.id] = tools.at(kept.parent);
    chain.narrow(std::move(block), dice.of(keys));
  }
  chain.hash = crypto::hash(chain.file);
  return chain;
}

// --- the model

inline bool matches(const std::vector<ArgRule>& rules, const Call& call) {
  for (const ArgRule& rule : rules) {
    for (const capsules::Constraint& constraint : rule.all) {
      if (const auto* under = std::get_if<capsules::Under>(&constraint)) {
        if (call.path != under->tree && !call.path.starts_with(under->tree + "/")) return false;
      }
      if (const auto* most = std::get_if<capsules::AtMost>(&constraint)) {
        if (call.number && *call.number > most->most) return false;
      }
    }
  }
  return true;
}

// What one level asks of a call, whoever wrote it.
struct Terms {
  std::string where;  // whose counters it has: branch, rate and id
  const Budget* budget;
  const std::vector<std::string>*labels, *refuse_after;
};

struct Event {  // an allowed call
  std::string root;
  std::vector<Terms> line;
  Call call;
  std::int64_t at_ms = 0;
  std::int64_t bytes = 0, cpu_ms = 0;  // reserved, then used
  CallState state = CallState::authorised;
};

class Model {
 public:
  Model(const Capsule& capsule, std::int64_t now_ms)
      : capsule_(capsule), began_ms_(now_ms), idle_from_ms_(now_ms) {}

  bool stopped() const { return denials_ >= capsule_.end_on.denials; }
  bool over(const Chain& chain, std::int64_t now_ms) const {
    return idled_.contains(chain.hash) || (chain.ttl_ms && now_ms - began_ms_ >= *chain.ttl_ms) ||
           (chain.idle_ms && idle_ms(now_ms) >= *chain.idle_ms);
  }
  void join(const Chain& chain) {
    if (chain.idle_ms) joined_[chain.hash] = *chain.idle_ms;
  }
  // Whether every level of the chain agrees; charges when they do.
  bool decide(const Chain& chain, const Call& call, std::int64_t now_ms) {
    if (stopped()) return false;
    std::optional<Event> event = event_of(chain, call, now_ms);
    if (over(chain, now_ms) || !event || !may(*event)) {
      ++denials_;
      return false;
    }
    for (const auto& [hash, most_ms] : joined_) {
      if (idle_ms(now_ms) >= most_ms) idled_.insert(hash);
    }
    events_.push_back(std::move(*event));
    ++open_;
    return true;
  }
  void settled(std::int64_t now_ms) {
    --open_;
    idle_from_ms_ = now_ms;
  }
  Event& event(std::size_t number) { return events_[number]; }
  std::size_t size() const { return events_.size(); }
  std::int64_t denials() const { return denials_; }
  std::int64_t active_ms(std::int64_t now_ms) const { return now_ms - began_ms_; }
  std::set<std::string> labels() const {
    std::set<std::string> all;
    for (const Event& past : events_) {
      for (const Terms& terms : past.line) all.insert(terms.labels->begin(), terms.labels->end());
    }
    return all;
  }

 private:
  std::int64_t idle_ms(std::int64_t now_ms) const {
    return open_ == 0 ? now_ms - idle_from_ms_ : 0;
  }

  static std::string counters(const std::string& branch, const KeptGrant& kept) {
    const auto& rate = kept.budget.rate;
    return branch + kept.id + (rate ? std::to_string(rate->count) + "/" : "") +
           (rate ? std::to_string(rate->per_ms) : "");
  }

  std::optional<Event> event_of(const Chain& chain, const Call& call, std::int64_t now_ms) const {
    for (const Grant& grant : capsule_.grants) {
      if (grant.tool != call.tool || !matches(grant.args, call)) continue;
      Event event{grant.id, {}, call, now_ms, *grant.cell.output_bytes, 0, CallState::authorised};
      event.cpu_ms = *grant.cell.cpu_s * 1000;
      event.line.push_back({"0 " + grant.id, &grant.budget, &grant.labels, &grant.refuse_after});
      std::string parent = grant.id;
      for (std::size_t level = 0; level < chain.blocks.size(); ++level) {
        const KeptGrant* chosen = nullptr;
        for (const KeptGrant& kept : chain.blocks[level].grants) {
          if (chosen == nullptr && kept.parent == parent && kept.verbs.empty() &&
              matches(kept.args, call))
            chosen = &kept;
        }
        if (chosen == nullptr) return std::nullopt;
        parent = chosen->id;
        event.line.push_back({counters(chain.branches[level], *chosen), &chosen->budget,
                              &chosen->labels, &chosen->refuse_after});
      }
      return event;
    }
    return std::nullopt;
  }

  bool may(Event& event) const {
    for (const Terms& terms : event.line) {
      if (!labels_allow(terms) || !budget_allows(terms, event)) return false;
    }
    const auto grant = std::find_if(capsule_.grants.begin(), capsule_.grants.end(),
                                    [&](const Grant& g) { return g.id == event.root; });
    for (const std::string& id : grant->after) {
      const bool done = std::any_of(events_.begin(), events_.end(), [&](const Event& past) {
        return past.root == id && past.state == CallState::done;
      });
      if (!done) return false;
    }
    return grant->idempotency.empty() ||
           std::none_of(events_.begin(), events_.end(), [&](const Event& past) {
             return past.root == event.root && past.call.path == event.call.path &&
                    past.state != CallState::interrupted;
           });
  }

  bool labels_allow(const Terms& terms) const {
    for (const Event& past : events_) {
      for (const Terms& theirs : past.line) {
        for (const std::string& label : *theirs.labels) {
          if (contains(*terms.refuse_after, label)) return false;
        }
        if (past.state != CallState::authorised) continue;
        for (const std::string& label : *theirs.refuse_after) {
          if (contains(*terms.labels, label)) return false;
        }
      }
    }
    return true;
  }

  bool budget_allows(const Terms& terms, Event& event) const {
    std::int64_t calls = 0, bytes = 0, cpu_ms = 0, sum = 0;
    const Budget& budget = *terms.budget;
    bool fast = false;
    std::int64_t later = 1;  // this call and those since
    for (auto past = events_.rbegin(); past != events_.rend(); ++past) {
      const auto same = std::find_if(past->line.begin(), past->line.end(),
                                     [&](const Terms& t) { return t.where == terms.where; });
      if (same == past->line.end()) continue;
      ++calls;
      bytes += past->bytes;
      cpu_ms += past->cpu_ms;
      // A block that names no argument to sum counts none.
      if (same->budget->sum) sum += past->call.number.value_or(0);
      ++later;
      // Over any span of time: no more than the bucket holds and what flows in meanwhile.
      if (budget.rate) {
        const auto flow = static_cast<__int128>(event.at_ms - past->at_ms) * budget.rate->count;
        const auto room = static_cast<__int128>(budget.rate->count) * budget.rate->per_ms + flow;
        fast = fast || static_cast<__int128>(later) * budget.rate->per_ms > room;
      }
    }
    if (fast || (budget.calls && calls >= *budget.calls)) return false;
    if (budget.bytes && bytes >= *budget.bytes) return false;
    if (budget.bytes) event.bytes = std::min(event.bytes, *budget.bytes - bytes);
    if (budget.cpu_ms && cpu_ms + 1000 > *budget.cpu_ms) return false;
    if (budget.cpu_ms)
      event.cpu_ms = std::min(event.cpu_ms, (*budget.cpu_ms - cpu_ms) / 1000 * 1000);
    if (!budget.sum) return true;
    const std::int64_t amount = event.call.number.value_or(-1);
    return amount >= 0 && sum + amount <= budget.sum->most;
  }

  static bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  const Capsule& capsule_;
  std::vector<Event> events_;
  std::int64_t denials_ = 0;
  std::int64_t began_ms_, idle_from_ms_;
  std::size_t open_ = 0;
  std::map<Hash, std::int64_t> joined_;  // chains whose blocks shorten the idle time
  std::set<Hash> idled_;
};

}  // namespace taper::testing::property
