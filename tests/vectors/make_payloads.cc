// Writes payloads.vec: payloads that no honest encoder would write, one fault each, and their good
// neighbours. What is expected is stated here by hand.
#include <cstdio>

#include "tests/vectors/make_vectors.h"
#include "tests/vectors/payload_rows.h"

namespace taper::testing {
namespace {

using namespace rows;
using C = wire::Capsule;
using G = wire::Grant;
using P = wire::Plan;
using S = wire::Step;

constexpr std::int64_t kDayMs = 86'400'000;

void write_identity() {
  accepts("a session with one grant, the least that a capsule says", base());
  const std::pair<Field, const char*> required[] = {{C::VT_ISSUER, "issuer"},
                                                    {C::VT_SERIAL, "serial"},
                                                    {C::VT_ISSUED_AT_S, "issued_at_s"},
                                                    {C::VT_FLEET, "fleet"},
                                                    {C::VT_TENANT, "tenant"},
                                                    {C::VT_PURPOSE, "purpose"},
                                                    {C::VT_REQUESTER, "requester"},
                                                    {C::VT_AGENT, "agent"},
                                                    {C::VT_HOLDER, "holder"},
                                                    {C::VT_AUDIENCE, "audience"},
                                                    {C::VT_WINDOW, "window"},
                                                    {C::VT_ACTIVATIONS, "activations"},
                                                    {C::VT_LEASE, "lease"},
                                                    {C::VT_FRESHNESS, "freshness"},
                                                    {C::VT_END_ON, "end_on"},
                                                    {C::VT_GRANTS, "grants"},
                                                    {C::VT_MIN_TIER, "min_tier"},
                                                    {C::VT_ENTRY, "entry"},
                                                    {C::VT_DELEGATION, "delegation"},
                                                    {C::VT_LOG, "log"}};
  for (const auto& [field, name] : required)
    refuses(203, name, (std::string("without ") + name).c_str(), with(without(field)));
  refuses(204, "issuer", "31 bytes of 32", with(set(C::VT_ISSUER, Octets(31, 1))));
  refuses(204, "holder", "33 bytes of 32", with(set(C::VT_HOLDER, Octets(33, 1))));
  refuses(204, "serial", "serial 0", with(set(C::VT_SERIAL, std::uint64_t{0})));
  accepts("the largest serial", with(set(C::VT_SERIAL, ~std::uint64_t{0})));
  refuses(204, "issued_at_s", "before 1970", with(set(C::VT_ISSUED_AT_S, number(-1))));
  accepts("the last second", with(set(C::VT_ISSUED_AT_S, number(kTimeMax))));
  refuses(204, "issued_at_s", "past it", with(set(C::VT_ISSUED_AT_S, number(kTimeMax + 1))));
  refuses(203, "purpose", "an empty text", with(set(C::VT_PURPOSE, text(""))));
  refuses(204, "agent", "no UTF-8", with(set(C::VT_AGENT, text("\xc3("))));
  refuses(204, "agent", "UTF-8 of a surrogate", with(set(C::VT_AGENT, text("\xed\xa0\x80"))));
  refuses(204, "agent", "UTF-8 that is too long", with(set(C::VT_AGENT, text("\xc0\xaf"))));
  accepts("a name of 256 bytes", with(set(C::VT_TENANT, text(std::string(256, 'n')))));
  refuses(204, "tenant", "and of 257", with(set(C::VT_TENANT, text(std::string(257, 'n')))));
  refuses(204, "audience.incarnation", "15 bytes of 16",
          with(set_in(C::VT_AUDIENCE, wire::NodeAudience::VT_INCARNATION, Octets(15, 5))));
}

void write_times() {
  using W = wire::Window;
  using L = wire::Lease;
  using F = wire::Freshness;
  using E = wire::EndOn;
  refuses(204, "window.not_after_s", "a window that ends as it begins",
          with(set_in(C::VT_WINDOW, W::VT_NOT_AFTER_S, number(kTime))));
  refuses(204, "activations", "no activation", with(set(C::VT_ACTIVATIONS, word(0))));
  accepts("a million activations", with(set(C::VT_ACTIVATIONS, word(1'000'000))));
  refuses(204, "activations", "one more", with(set(C::VT_ACTIVATIONS, word(1'000'001))));
  refuses(204, "lease.ttl_ms", "no lease", with(set_in(C::VT_LEASE, L::VT_TTL_MS, number(0))));
  const auto lease = [](std::int64_t ttl_ms, bool declared, bool feature) {
    return with([=](WireTree& t) {
      t.tree(C::VT_LEASE).members[L::VT_TTL_MS] = number(ttl_ms);
      if (declared) t.tree(C::VT_LEASE).members[L::VT_LONG_LEASE] = true;
      if (feature) t.members[C::VT_FEATURES] = Words{"long-lease"};
    });
  };
  accepts("24 hours", lease(kDayMs, false, false));
  refuses(315, "lease.long_lease", "longer, and not declared", lease(kDayMs + 1, false, false));
  accepts("longer and declared, 90 days", lease(kDays90, true, true));
  refuses(315, "lease.long_lease", "declared, and not longer", lease(kDayMs, true, true));
  refuses(204, "features", "declared without the feature", lease(kDays90, true, false));
  refuses(204, "features", "the feature alone", lease(60, false, true));
  refuses(204, "lease.long_lease", "declared as untrue",
          with(set_in(C::VT_LEASE, L::VT_LONG_LEASE, false), lease(kDays90, true, true)));
  refuses(204, "lease.ttl_ms", "more than 90 days",
          with(set_in(C::VT_LEASE, L::VT_TTL_MS, number(kDays90 + 1))));
  refuses(204, "lease.idle_ms", "idle longer than the lease",
          with(set_in(C::VT_LEASE, L::VT_IDLE_MS, number(61))));
  refuses(203, "lease.idle_ms", "no idle time", with(without_in(C::VT_LEASE, L::VT_IDLE_MS)));
  refuses(204, "freshness.max_revocation_age_s", "news of no age",
          with(set_in(C::VT_FRESHNESS, F::VT_MAX_REVOCATION_AGE_S, number(0))));
  refuses(205, "freshness.time_assurance", "assurance 0",
          with(set_in(C::VT_FRESHNESS, F::VT_TIME_ASSURANCE, octet(0))));
  refuses(205, "freshness.time_assurance", "assurance 4",
          with(set_in(C::VT_FRESHNESS, F::VT_TIME_ASSURANCE, octet(4))));
  using O = wire::Offline;
  const auto caps = [](std::map<Field, Member> own, bool feature = true) {
    return with([own = std::move(own), feature](WireTree& t) {
      if (!own.empty()) t.members[C::VT_OFFLINE] = tree(own);
      if (feature) t.members[C::VT_FEATURES] = Words{"offline"};
    });
  };
  const auto both = [](std::int64_t ttl_ms, std::int64_t idle_ms) {
    return std::map<Field, Member>{{O::VT_MAX_TTL_MS, number(ttl_ms)},
                                   {O::VT_MAX_IDLE_MS, number(idle_ms)}};
  };
  accepts("caps while unanchored, as long as the lease", caps(both(60, 60)));
  refuses(204, "offline.max_ttl_ms", "longer than the lease", caps(both(61, 60)));
  refuses(204, "offline.max_ttl_ms", "for no time", caps(both(0, 0)));
  refuses(204, "offline.max_idle_ms", "idle for longer than they last", caps(both(30, 31)));
  refuses(203, "offline.max_idle_ms", "one of the two", caps({{O::VT_MAX_TTL_MS, number(60)}}));
  refuses(204, "features", "caps without the feature", caps(both(60, 60), false));
  refuses(204, "features", "the feature without caps", caps({}));
  refuses(204, "end_on.denials", "an end at no denial",
          with(set_in(C::VT_END_ON, E::VT_DENIALS, number(0))));
  refuses(203, "end_on.failure", "a tripwire left out",
          with(without_in(C::VT_END_ON, E::VT_FAILURE)));
  refuses(204, "end_on.failure", "neither true nor false",
          with(set_in(C::VT_END_ON, E::VT_FAILURE, octet(2))));
  refuses(205, "min_tier", "tier 4", with(set(C::VT_MIN_TIER, octet(4))));
  refuses(205, "entry", "entry 0", with(set(C::VT_ENTRY, octet(0))));
  refuses(205, "entry", "entry 4", with(set(C::VT_ENTRY, octet(4))));
  refuses(204, "delegation.max_depth", "nine blocks",
          with(set_in(C::VT_DELEGATION, wire::Delegation::VT_MAX_DEPTH, octet(9))));
}

// E206: a place that is kept for later is never accepted silently.
void write_unenforced() {
  using L = wire::Cell;
  const Change trees = set(G::VT_CELL, tree({{L::VT_TREES, Words{"/srv"}}}));
  const Change hosts = set(G::VT_CELL, tree({{L::VT_HOSTS, Words{"a.example"}}}));
  refuses(206, "holder_spiffe", "a SPIFFE id",
          with(set(C::VT_HOLDER_SPIFFE, text("spiffe://a/b"))));
  refuses(206, "holder_spiffe", "even an empty one", with(set(C::VT_HOLDER_SPIFFE, text(""))));
  refuses(206, "pools", "a pool",
          with(set(C::VT_POOLS, Trees{tree({{wire::PoolAudience::VT_POOL, text("p")}})})));
  refuses(206, "pools", "even none", with(set(C::VT_POOLS, Trees{})));
  refuses(206, "nodes", "more nodes", with(set(C::VT_NODES, Trees{WireTree{}})));
  refuses(206, "hosts", "a host map", with(set(C::VT_HOSTS, Trees{WireTree{}})));
  refuses(206, "host_ca", "a CA", with(set(C::VT_HOST_CA, text("x"))));
  refuses(206, "proof", "how HTTP callers prove themselves", with(set(C::VT_PROOF, WireTree{})));
  refuses(206, "delegation.allocator", "an allocator",
          with(set_in(C::VT_DELEGATION, wire::Delegation::VT_ALLOCATOR, Octets(32, 1))));
  refuses(206, "grants[0].action", "an action", with_grant(set(G::VT_ACTION, text("x"))));
  refuses(206, "grants[0].approval", "an approval", with_grant(set(G::VT_APPROVAL, WireTree{})));
  refuses(206, "grants[0].cell.trees", "trees of a cell", with_grant(trees));
  refuses(206, "grants[0].cell.hosts", "hosts of a cell", with_grant(hosts));
  refuses(206, "cell.hosts", "hosts of every cell",
          with(set(C::VT_CELL, tree({{L::VT_HOSTS, Words{}}}))));
  refuses(206, "plan.steps[1].approval", "a step that waits for approval",
          with_step(set(S::VT_APPROVAL, true)));
  refuses(205, "features", "a feature from tomorrow", with(set(C::VT_FEATURES, Words{"tomorrow"})));
  accepts("an empty list of features", with(set(C::VT_FEATURES, Words{})));
}

void write_agents() {
  using A = wire::Agent;
  const WireTree program = tree({{A::VT_PROGRAM, text("planner")}, {A::VT_DIGEST, Octets(32, 1)}});
  const auto agent = [&program](const Change& change) {
    return with([&](WireTree& t) {
      t.members[C::VT_ENTRY] = octet(3);
      t.members[C::VT_AGENT_ENTRY] = program;
      t.members[C::VT_FEATURES] = Words{"agent"};
      change(t);
    });
  };
  const auto entry = [&](Field field, Member member) {
    return agent(set_in(C::VT_AGENT_ENTRY, field, std::move(member)));
  };
  accepts("a program as the agent", agent(same));
  accepts("with a cell of its own",
          entry(A::VT_CELL, tree({{wire::Cell::VT_CPU_S, number(3'600)}})));
  refuses(203, "agent_entry", "none", agent(without(C::VT_AGENT_ENTRY)));
  refuses(203, "agent_entry.program", "without a name",
          agent(without_in(C::VT_AGENT_ENTRY, A::VT_PROGRAM)));
  refuses(203, "agent_entry.program", "an empty name", entry(A::VT_PROGRAM, text("")));
  refuses(204, "agent_entry.program", "a name of 257 bytes",
          entry(A::VT_PROGRAM, text(std::string(257, 'n'))));
  refuses(203, "agent_entry.digest", "not pinned",
          agent(without_in(C::VT_AGENT_ENTRY, A::VT_DIGEST)));
  refuses(204, "agent_entry.digest", "pinned by half", entry(A::VT_DIGEST, Octets(16, 1)));
  refuses(204, "agent_entry.cell.cpu_s", "above the cap",
          entry(A::VT_CELL, tree({{wire::Cell::VT_CPU_S, number(3'601)}})));
  refuses(206, "agent_entry.cell.hosts", "with a way out",
          entry(A::VT_CELL, tree({{wire::Cell::VT_HOSTS, Words{"a.example"}}})));
  refuses(206, "agent_entry.cell.trees", "with files",
          entry(A::VT_CELL, tree({{wire::Cell::VT_TREES, Words{"/srv"}}})));
  refuses(204, "features", "without the feature", agent(without(C::VT_FEATURES)));
  refuses(204, "features", "the feature alone", with(set(C::VT_FEATURES, Words{"agent"})));
  refuses(204, "agent_entry", "a session with a program", agent(set(C::VT_ENTRY, octet(1))));
  refuses(204, "plan", "an agent with a plan",
          agent([](WireTree& t) { t.members[C::VT_PLAN] = base_plan().members.at(C::VT_PLAN); }));
}

void write_grants() {
  refuses(203, "grants", "no grant", with(set(C::VT_GRANTS, Trees{})));
  refuses(204, "grants", "an id twice", with_grants(set(G::VT_ID, text("h")), same));
  refuses(203, "grants[0].tool", "no tool", with_grant(set(G::VT_TOOL, text(""))));
  refuses(205, "grants[0].digest_kind", "a kind of digest from tomorrow",
          with_grant(set(G::VT_DIGEST_KIND, octet(4))));
  refuses(203, "grants[0].digest", "pinned to nothing",
          with_grant(set(G::VT_DIGEST_KIND, octet(2))));
  refuses(204, "grants[0].digest", "a digest that pins nothing",
          with_grant(set(G::VT_DIGEST, Octets(32, 1))));
  refuses(204, "grants[0].digest", "a short digest", with_grant([](WireTree& g) {
            g.members[G::VT_DIGEST_KIND] = octet(2);
            g.members[G::VT_DIGEST] = Octets(31, 1);
          }));
  refuses(203, "grants[0].verbs", "no verb", with_grant(set(G::VT_VERBS, Octets{})));
  refuses(203, "grants[0].verbs", "verbs left out", with_grant(without(G::VT_VERBS)));
  refuses(205, "grants[0].verbs", "verb 0", with_grant(set(G::VT_VERBS, Octets{2, 0})));
  refuses(205, "grants[0].verbs", "verb 9", with_grant(set(G::VT_VERBS, Octets{9})));
  refuses(204, "grants[0].verbs", "a verb twice", with_grant(set(G::VT_VERBS, Octets{2, 2})));
  accepts("every verb", with_grant(set(G::VT_VERBS, Octets{8, 7, 6, 5, 4, 3, 2, 1})));
  refuses(203, "grants[0].effect", "no effect", with_grant(without(G::VT_EFFECT)));
  refuses(205, "grants[0].effect", "effect 4", with_grant(set(G::VT_EFFECT, octet(4))));
  refuses(204, "grants[0].labels", "a label twice", with_grant(set(G::VT_LABELS, Words{"a", "a"})));
  refuses(203, "grants[0].labels", "an empty label", with_grant(set(G::VT_LABELS, Words{""})));
  accepts("labels and what they shut",
          with_grants(set(G::VT_LABELS, Words{"a", "b"}), set(G::VT_REFUSE_AFTER, Words{"a"})));
  refuses(204, "grants[0].refuse_after", "33 labels", with_grant([](WireTree& g) {
            Words many;
            for (int i = 0; i < 33; ++i) many.push_back(std::to_string(i));
            g.members[G::VT_REFUSE_AFTER] = many;
          }));
  accepts("one grant after another", with_grants(same, set(G::VT_AFTER, Words{"g"})));
  refuses(204, "grants[0].after", "after itself", with_grant(set(G::VT_AFTER, Words{"g"})));
  refuses(204, "grants[0].after", "after none", with_grant(set(G::VT_AFTER, Words{"x"})));
  refuses(204, "grants[1].after", "the same twice",
          with_grants(same, set(G::VT_AFTER, Words{"g", "g"})));
  refuses(204, "grants[0].after", "a circle",
          with_grants(set(G::VT_AFTER, Words{"h"}), set(G::VT_AFTER, Words{"g"})));
}

void write_terms() {
  using B = wire::Budget;
  using R = wire::Rate;
  using L = wire::Cell;
  const auto with_budget = [](std::map<std::uint16_t, Member> budget) {
    return with_grant([&](WireTree& g) {
      g.members[G::VT_ARGS] = Trees{rule("x", {any()})};
      g.members[G::VT_BUDGET] = tree(budget);
    });
  };
  const auto rate = [](std::int64_t count, std::int64_t per_ms) {
    return tree({{R::VT_COUNT, number(count)}, {R::VT_PER_MS, number(per_ms)}});
  };
  const auto sum = [](const char* argument, std::int64_t most) {
    return tree({{wire::Sum::VT_ARGUMENT, text(argument)}, {wire::Sum::VT_MOST, number(most)}});
  };
  accepts("every budget", with_budget({{B::VT_CALLS, number(0)},
                                       {B::VT_BYTES, number(1)},
                                       {B::VT_CPU_MS, number(1)},
                                       {B::VT_RATE, rate(1'000'000, kDays90)},
                                       {B::VT_SUM, sum("x", 0)}}));
  refuses(204, "grants[0].budget.calls", "fewer than no calls",
          with_budget({{B::VT_CALLS, number(-1)}}));
  refuses(204, "grants[0].budget.rate.count", "a rate of none",
          with_budget({{B::VT_RATE, rate(0, 1)}}));
  refuses(204, "grants[0].budget.rate.per_ms", "a rate in no time",
          with_budget({{B::VT_RATE, rate(1, 0)}}));
  refuses(203, "grants[0].budget.rate.per_ms", "a rate without time",
          with_budget({{B::VT_RATE, tree({{R::VT_COUNT, number(1)}})}}));
  refuses(204, "grants[0].budget.sum.argument", "a sum of what is no argument",
          with_budget({{B::VT_SUM, sum("y", 1)}}));
  refuses(204, "grants[0].budget.sum.most", "a sum below 0",
          with_budget({{B::VT_SUM, sum("x", -1)}}));
  const auto with_id = [](bool optional, const char* named) {
    return with_grant([=](WireTree& g) {
      g.members[G::VT_ARGS] = Trees{rule("x", {any()})};
      g.item(G::VT_ARGS, 0).members[wire::ArgRule::VT_OPTIONAL] = optional;
      g.members[G::VT_IDEMPOTENCY] = text(named);
    });
  };
  accepts("an argument that carries the id", with_id(false, "x"));
  refuses(204, "grants[0].idempotency", "one that may be left out", with_id(true, "x"));
  refuses(204, "grants[0].idempotency", "one that may not be given", with_id(false, "y"));
  refuses(203, "grants[0].idempotency", "an empty one", with_id(false, ""));
  const std::tuple<Field, const char*, std::int64_t> caps[] = {
      {L::VT_OUTPUT_BYTES, "output_bytes", 4'194'304},
      {L::VT_MEMORY_BYTES, "memory_bytes", 1'073'741'824},
      {L::VT_PROCESSES, "processes", 128},
      {L::VT_CPU_S, "cpu_s", 3'600},
      {L::VT_WALL_MS, "wall_ms", kDays90}};
  WireTree most;
  for (const auto& [field, name, cap] : caps) {
    most.members[field] = number(cap);
    const std::string path = std::string("grants[0].cell.") + name;
    refuses(204, path, "a cap of nothing", with_grant(set(G::VT_CELL, tree({{field, number(0)}}))));
    refuses(204, path, "above the cap",
            with_grant(set(G::VT_CELL, tree({{field, number(cap + 1)}}))));
  }
  accepts("the caps themselves", with_grant(set(G::VT_CELL, most)));
}

void write_secret_fields() {
  using X = wire::Secret;
  const auto secret = [](std::string name, std::size_t bytes) {
    return tree({{X::VT_NAME, text(std::move(name))}, {X::VT_BOX, Octets(bytes, 7)}});
  };
  const auto holding = [&](const Trees& secrets, const Words& named, std::uint8_t kind = 2) {
    return with([&](WireTree& t) {
      t.members[C::VT_SECRETS] = secrets;
      WireTree& grant = t.item(C::VT_GRANTS, 0);
      grant.members[G::VT_DIGEST_KIND] = octet(kind);
      if (kind == 2) grant.members[G::VT_DIGEST] = Octets(32, 1);
      grant.members[G::VT_SECRETS] = named;
    });
  };
  accepts("a secret for a tool that is pinned",
          holding({secret("db.main_1-x", 1)}, {"db.main_1-x"}));
  accepts("no secrets", holding({}, {}));
  refuses(204, "secrets", "for a builtin", holding({secret("db", 1)}, {"db"}, 1));
  refuses(204, "secrets", "for a tool that is not pinned", holding({secret("db", 1)}, {"db"}, 3));
  refuses(204, "secrets", "for nobody", holding({secret("db", 1)}, {}));
  refuses(204, "secrets", "one that is not there", holding({secret("db", 1)}, {"db", "other"}));
  refuses(204, "secrets", "a name twice", holding({secret("db", 1), secret("db", 1)}, {"db"}));
  refuses(204, "grants[0].secrets", "named twice", holding({secret("db", 1)}, {"db", "db"}));
  refuses(203, "secrets[0].box", "no box", holding({secret("db", 0)}, {"db"}));
  refuses(203, "secrets[0].name", "no name", holding({secret("", 1)}, {"db"}));
  for (const char* bad : {"1db", "a/b", "..", "a b", "\xc3\xa4"})
    refuses(204, "secrets[0].name", "a name that is no plain file name",
            holding({secret(bad, 1)}, {bad}));
  accepts("a name of 64", holding({secret(std::string(64, 'a'), 1)}, {std::string(64, 'a')}));
  refuses(204, "secrets[0].name", "and of 65",
          holding({secret(std::string(65, 'a'), 1)}, {std::string(65, 'a')}));
}

void write_results_and_log() {
  using R = wire::ResultRule;
  using L = wire::Log;
  const auto result = [](Octets readers, std::int64_t retention, std::uint32_t reads) {
    return with(set(C::VT_RESULT, tree({{R::VT_READERS, std::move(readers)},
                                        {R::VT_RETENTION_MS, number(retention)},
                                        {R::VT_READS, word(reads)}})));
  };
  Octets two(64, 1), many;
  two.back() = 2;
  for (std::uint8_t i = 0; i < 33; ++i) many.insert(many.end(), 32, i);
  accepts("two readers for a year and a day", result(two, 31'622'400'000, 1'000'000));
  refuses(204, "result.retention_ms", "longer", result(two, 31'622'400'001, 1));
  refuses(204, "result.retention_ms", "for no time", result(two, 0, 1));
  refuses(204, "result.reads", "no read", result(two, 1, 0));
  refuses(204, "result.reads", "too many", result(two, 1, 1'000'001));
  refuses(203, "result.readers", "nobody", result({}, 1, 1));
  refuses(204, "result.readers", "half a reader", result(Octets(48, 1), 1, 1));
  refuses(204, "result.readers", "a reader twice", result(Octets(64, 1), 1, 1));
  refuses(204, "result.readers", "33 readers", result(many, 1, 1));
  refuses(203, "result.reads", "reads left out",
          with(set(C::VT_RESULT, tree({{R::VT_READERS, two}, {R::VT_RETENTION_MS, number(1)}}))));
  const auto log = [](bool all, const Words& except) {
    return with([&](WireTree& t) {
      t.tree(C::VT_LOG).members[L::VT_ALL_ARGUMENTS] = all;
      t.tree(C::VT_LOG).members[L::VT_EXCEPT] = except;
    });
  };
  accepts("every argument but one in the log", log(true, {"password"}));
  refuses(204, "log.except", "all but one, of none", log(false, {"password"}));
  refuses(204, "log.except", "even an empty list", log(false, {}));
  refuses(204, "log.except", "an argument twice", log(true, {"a", "a"}));
  refuses(204, "log.quota_bytes", "no room in the log",
          with(set_in(C::VT_LOG, L::VT_QUOTA_BYTES, number(0))));
}

void write_plans() {
  const auto inputs = [](const Words& names) {
    return with(set_in(C::VT_PLAN, P::VT_INPUTS, names), base_plan());
  };
  const auto second = [](const char* args) { return with_step(set(S::VT_ARGS, text(args))); };
  const auto bad = [&](const char* about, const char* args) {
    refuses(204, "plan.steps[1].args", about, second(args));
  };
  accepts("a plan of two steps", base_plan());
  refuses(203, "plan", "a plan without a plan", with(without(C::VT_PLAN), base_plan()));
  refuses(204, "plan", "a session with a plan", with(set(C::VT_ENTRY, octet(1)), base_plan()));
  refuses(203, "plan.steps", "no steps",
          with(set_in(C::VT_PLAN, P::VT_STEPS, Trees{}), base_plan()));
  refuses(204, "plan.inputs", "an input twice", inputs({"n", "n"}));
  refuses(204, "plan.steps[1].id", "an id twice", with_step(set(S::VT_ID, text("one"))));
  refuses(204, "plan.steps[1].id", "the name of an item", with_step(set(S::VT_ID, text("one[0]"))));
  accepts("after the first", with_step(set(S::VT_NEEDS, Words{"one"})));
  refuses(204, "plan.steps[1].needs", "after itself", with_step(set(S::VT_NEEDS, Words{"two"})));
  refuses(204, "plan.steps[1].needs", "twice", with_step(set(S::VT_NEEDS, Words{"one", "one"})));
  accepts("references, deep",
          second(R"({"a":[{"b":{"$input":"n"}},{"$step":"one","at":"/x~0~1y/0"}]})"));
  bad("keys in another order than that of their bytes", R"({"b":1,"a":1})");
  bad("white space", R"({"a": 1})");
  bad("an escape that is not needed", R"({"a":"\/"})");
  bad("no object", "[]");
  bad("no JSON", "{");
  bad("a key twice", R"({"a":1,"a":1})");
  refuses(203, "plan.steps[1].args", "nothing at all", second(""));
  bad("the whole is a reference", R"({"$input":"n"})");
  bad("an input that is not named", R"({"a":{"$input":"m"}})");
  bad("an input by number", R"({"a":{"$input":0}})");
  bad("an input and something else", R"({"a":{"$input":"n","x":1}})");
  bad("its own result", R"({"a":{"$step":"two","at":"/x"}})");
  bad("no step's result", R"({"a":{"$step":"three","at":"/x"}})");
  bad("a result without a place in it", R"({"a":{"$step":"one"}})");
  bad("a pointer without a slash", R"({"a":{"$step":"one","at":"x"}})");
  bad("a pointer with a loose tilde", R"({"a":{"$step":"one","at":"/~2"}})");
  bad("a key that only looks like a reference", R"({"a":{"$other":1}})");
  bad("an item where there are none", R"({"a":{"$item":true}})");
}

void write_repetition() {
  const auto each = [](const char* items, const char* args = "{}", std::uint32_t most = 1) {
    return with_step([=](WireTree& s) {
      s.members[S::VT_FOR_EACH] = text(items);
      s.members[S::VT_FOR_EACH_MAX] = word(most);
      s.members[S::VT_ARGS] = text(args);
    });
  };
  const auto retry = [](std::uint8_t on_error, std::uint32_t retries, std::int64_t backoff) {
    return with_step([=](WireTree& s) {
      s.members[S::VT_ON_ERROR] = octet(on_error);
      s.members[S::VT_RETRIES] = word(retries);
      s.members[S::VT_BACKOFF_MS] = number(backoff);
    });
  };
  accepts("an item, and a part of it",
          each("[1,{\"$input\":\"n\"}]", R"({"a":{"$item":true},"b":{"$item":true,"at":"/x"}})"));
  refuses(204, "plan.steps[1].args", "an item that is not true",
          each("[]", R"({"a":{"$item":false}})"));
  refuses(204, "plan.steps[1].args", "an item at no pointer",
          each("[]", R"({"a":{"$item":true,"at":"x"}})"));
  accepts("the items of an earlier step", each(R"({"$step":"one","at":"/entries"})", "{}", 10'000));
  accepts("the items of an input", each(R"({"$input":"n"})"));
  refuses(204, "plan.steps[1].for_each", "items of an item", each(R"({"$item":true})"));
  refuses(204, "plan.steps[1].for_each", "an object", each(R"({"a":1})"));
  refuses(204, "plan.steps[1].for_each", "a number", each("7"));
  refuses(204, "plan.steps[1].for_each", "white space", each("[ ]"));
  refuses(204, "plan.steps[1].for_each", "an input that is not named", each(R"([{"$input":"m"}])"));
  refuses(203, "plan.steps[1].for_each", "nothing", each(""));
  refuses(204, "plan.steps[1].for_each_max", "at most none", each("[]", "{}", 0));
  refuses(204, "plan.steps[1].for_each_max", "too many", each("[]", "{}", 10'001));
  refuses(203, "plan.steps[1].for_each_max", "no maximum",
          with_step(set(S::VT_FOR_EACH, text("[]"))));
  refuses(204, "plan.steps[1].for_each_max", "a maximum of nothing",
          with_step(set(S::VT_FOR_EACH_MAX, word(1))));
  accepts("tried again at once, a hundred times", retry(3, 100, 0));
  refuses(204, "plan.steps[1].retries", "never", retry(3, 0, 0));
  refuses(204, "plan.steps[1].retries", "too often", retry(3, 101, 0));
  refuses(204, "plan.steps[1].backoff_ms", "before it failed", retry(3, 1, -1));
  refuses(204, "plan.steps[1].retries", "by a step that stops", retry(1, 1, 0));
  refuses(203, "plan.steps[1].retries", "how often is not said",
          with_step(set(S::VT_ON_ERROR, octet(3))));
  refuses(205, "plan.steps[1].on_error", "on_error 4", with_step(set(S::VT_ON_ERROR, octet(4))));
  refuses(203, "plan.steps[1].on_error", "on_error left out", with_step(without(S::VT_ON_ERROR)));
}

}  // namespace

void write_payloads() {
  std::puts(
      "# Payloads of capsules in hex, made by make_vectors: each has one fault, or none. `refuses` "
      "names the\n# error's number and the field.");
  write_identity();
  write_times();
  write_unenforced();
  write_agents();
  write_grants();
  write_terms();
  write_operands();
  write_secret_fields();
  write_results_and_log();
  write_plans();
  write_repetition();
  write_structure();
  std::puts("\n# Payloads of blocks.");
  write_blocks();
}

}  // namespace taper::testing
