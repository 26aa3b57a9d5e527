#include <catch2/catch.hpp>
#include <functional>

#include "capsule_generated.h"
#include "capsules/open.h"
#include "runtime/base/limits.h"
#include "tests/support/wire_tree.h"

namespace taper::capsules {
namespace {

using testing::sample_wire_block;
using testing::sample_wire_capsule;
using testing::wire_bytes;
using testing::WireTree;
using C = wire::Capsule;
using G = wire::Grant;
using P = wire::Plan;
using S = wire::Step;
using K = wire::Constraint;
using Words = WireTree::Words;
using Trees = WireTree::Trees;

Result<Capsule> decoded(const WireTree& tree) { return decode_capsule(wire_bytes(tree, "TPCP")); }

struct Answer {
  Code code = Code::unset;
  std::string field;
  bool operator==(const Answer&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  return out << describe(answer.code).name << " " << answer.field;
}

Answer answer(const Result<Capsule>& result) {
  if (result.ok()) return {Code::ok, ""};
  return {result.code(), result.error().detail().field};
}

using Change = std::function<void(WireTree&)>;
Answer with(const Change& change) {
  WireTree tree = sample_wire_capsule();
  change(tree);
  return answer(decoded(tree));
}
Answer with_grant(const Change& change) {
  return with([&](WireTree& tree) { change(tree.item(C::VT_GRANTS, 0)); });
}
Answer with_step(const Change& change) {
  return with([&](WireTree& tree) { change(tree.tree(C::VT_PLAN).item(P::VT_STEPS, 1)); });
}
// The constraint in place of all of the first argument.
Answer with_constraint(std::map<std::uint16_t, WireTree::Member> members) {
  return with_grant([&](WireTree& grant) {
    grant.item(G::VT_ARGS, 0).members[wire::ArgRule::VT_CONSTRAINTS] = Trees{WireTree{members}};
  });
}
std::uint8_t kind(wire::ConstraintKind value) { return static_cast<std::uint8_t>(value); }
WireTree::Member text(const char* value) { return std::string(value); }
WireTree::Member number(std::int64_t value) { return value; }

Change set(std::uint16_t field, WireTree::Member value) {
  return [field, value](WireTree& tree) { tree.members[field] = value; };
}
Change set_in(std::uint16_t table, std::uint16_t field, WireTree::Member value) {
  return [=](WireTree& tree) { tree.tree(table).members[field] = value; };
}

TEST_CASE("A complete payload decodes", "[capsules]") {
  const auto result = decoded(sample_wire_capsule());
  CHECK(answer(result) == Answer{Code::ok, ""});
  const Grant& grant = result->grants.at(0);
  CHECK(grant.verbs == std::vector<Verb>{Verb::discover, Verb::call, Verb::resume});
  CHECK(grant.args.at(0).all.size() == 4);
  CHECK(grant.args.at(1).all.size() == 5);
  CHECK(grant.cell.wall_ms == 10);
  CHECK(result->plan.steps.at(1).on_error == OnError::carry_on);
}

// Every field of `tree` in turn, however deep, taken out.
void without_each(const WireTree& tree,
                  const std::function<void(const WireTree&, std::string)>& use,
                  const std::string& path = "") {
  for (const auto& [field, member] : tree.members) {
    const std::string here = path + "/" + std::to_string(field);
    WireTree less = tree;
    less.members.erase(field);
    use(less, here);
    const auto deeper = [&, at = field](const WireTree& changed, const std::string& name) {
      WireTree whole = tree;
      whole.members[at] = changed;
      use(whole, name);
    };
    if (const auto* child = std::get_if<WireTree>(&member)) without_each(*child, deeper, here);
    if (const auto* items = std::get_if<Trees>(&member)) {
      for (std::size_t i = 0; i < items->size(); ++i) {
        const auto item = [&, at = field](const WireTree& changed, const std::string& name) {
          WireTree whole = tree;
          std::get<Trees>(whole.members[at])[i] = changed;
          use(whole, name);
        };
        without_each((*items)[i], item, here + "#" + std::to_string(i));
      }
    }
  }
}

TEST_CASE("Each required field that is absent is missed by its name", "[capsules][R3][R13]") {
  // What may be absent, because absent means none there: args, budget and its counts, cell and its
  // limits, a url's ports, a plan's inputs, a step's needs. A plan's input or step that others name
  // is invalid.
  std::size_t missing = 0;
  std::size_t allowed = 0;
  std::size_t invalid = 0;
  without_each(sample_wire_capsule(), [&](const WireTree& tree, const std::string& path) {
    INFO("without " << path);
    const Answer got = answer(decoded(tree));
    if (got.code == Code::field_missing) {
      ++missing;
      CHECK_FALSE(got.field.empty());
    } else if (got.code == Code::ok) {
      ++allowed;
    } else {
      CHECK(got.code == Code::field_invalid);
      ++invalid;
    }
  });
  CHECK(missing == 116);
  CHECK(allowed == 12);
  CHECK(invalid == 1);
  CHECK(with([](WireTree& t) { t.members.erase(C::VT_HOLDER); }) ==
        Answer{Code::field_missing, "holder"});
  CHECK(with([](WireTree& t) { t.tree(C::VT_LEASE).members.erase(wire::Lease::VT_TTL_MS); }) ==
        Answer{Code::field_missing, "lease.ttl_ms"});
  CHECK(with_grant([](WireTree& t) { t.members.erase(G::VT_EFFECT); }) ==
        Answer{Code::field_missing, "grants[0].effect"});
  CHECK(with_constraint({}) ==
        Answer{Code::field_missing, "grants[0].args[0].constraints[0].kind"});
}

TEST_CASE("What is not enforced yet is refused by its name", "[capsules][R35]") {
  const auto refused = [](const char* field) { return Answer{Code::not_enforced_yet, field}; };
  const WireTree::Member none = WireTree{};
  const WireTree::Member no_items = Trees{};
  CHECK(with(set(C::VT_HOLDER_SPIFFE, text("spiffe://x/y"))) == refused("holder_spiffe"));
  CHECK(with(set(C::VT_POOLS, no_items)) == refused("pools"));
  CHECK(with(set(C::VT_NODES, no_items)) == refused("nodes"));
  CHECK(with(set(C::VT_HOSTS, no_items)) == refused("hosts"));
  CHECK(with(set(C::VT_HOST_CA, text("x"))) == refused("host_ca"));
  CHECK(with(set(C::VT_PROOF, none)) == refused("proof"));
  CHECK(with(set_in(C::VT_DELEGATION, wire::Delegation::VT_ALLOCATOR, Bytes(32))) ==
        refused("delegation.allocator"));
  CHECK(with_grant(set(G::VT_ACTION, text("x"))) == refused("grants[0].action"));
  CHECK(with_grant(set(G::VT_APPROVAL, none)) == refused("grants[0].approval"));
  CHECK(with_grant(set_in(G::VT_CELL, wire::Cell::VT_TREES, Words{})) ==
        refused("grants[0].cell.trees"));
  CHECK(with_grant(set_in(G::VT_CELL, wire::Cell::VT_HOSTS, Words{})) ==
        refused("grants[0].cell.hosts"));
  CHECK(with_step(set(S::VT_APPROVAL, false)) == refused("plan.steps[1].approval"));
}

TEST_CASE("A grant's terms are within their ranges and fit each other", "[capsules][R37]") {
  using B = wire::Budget;
  const WireTree rate{{{wire::Rate::VT_COUNT, number(1)}, {wire::Rate::VT_PER_MS, number(1)}}};
  const auto with_rate = [&](std::uint16_t field, std::int64_t value) {
    WireTree changed = rate;
    changed.members[field] = value;
    return with_grant(set_in(G::VT_BUDGET, B::VT_RATE, changed));
  };
  CHECK(with_rate(wire::Rate::VT_COUNT, limits::kRateCountMax).code == Code::ok);
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, limits::kRateCountMax + 1}) {
    CHECK(with_rate(wire::Rate::VT_COUNT, value) ==
          Answer{Code::field_invalid, "grants[0].budget.rate.count"});
  }
  CHECK(with_rate(wire::Rate::VT_PER_MS, limits::kLeaseTtlMaxMs + 1).code == Code::field_invalid);
  CHECK(with_grant(set_in(G::VT_BUDGET, B::VT_RATE, WireTree{})).code == Code::field_missing);
  CHECK(with_grant(set_in(G::VT_BUDGET, B::VT_CPU_MS, number(-1))).code == Code::field_invalid);
  const auto with_sum = [&](const char* argument) {
    const WireTree sum{{{wire::Sum::VT_ARGUMENT, text(argument)}, {wire::Sum::VT_MOST, number(9)}}};
    return with_grant(set_in(G::VT_BUDGET, B::VT_SUM, sum));
  };
  CHECK(with_sum("path").code == Code::ok);
  CHECK(with_sum("amount") == Answer{Code::field_invalid, "grants[0].budget.sum.argument"});
  CHECK(with_grant(set(G::VT_IDEMPOTENCY, text("path"))).code == Code::ok);
  CHECK(with_grant(set(G::VT_IDEMPOTENCY, text("x"))) ==
        Answer{Code::field_invalid, "grants[0].idempotency"});
  CHECK(with_grant(set(G::VT_LABELS, Words{"a", "b"})).code == Code::ok);
  CHECK(with_grant(set(G::VT_LABELS, Words{"a", "a"})).code == Code::field_invalid);
  CHECK(with_grant(set(G::VT_REFUSE_AFTER, Words(limits::kLabelsMax + 1, "x"))).code ==
        Code::field_invalid);
  for (const char* id : {"list", "no-such"}) {
    CHECK(with_grant(set(G::VT_AFTER, Words{id})) ==
          Answer{Code::field_invalid, "grants[0].after"});
  }
  const auto waits = [](const char* first, const char* second) {
    return with([&](WireTree& tree) {
      auto& grants = std::get<Trees>(tree.members[C::VT_GRANTS]);
      grants.resize(1);
      for (const char* id : {"b", "c"}) {
        grants.push_back(grants[0]);
        grants.back().members[G::VT_ID] = std::string(id);
      }
      grants[0].members[G::VT_AFTER] = Words{first};
      grants[1].members[G::VT_AFTER] = Words{second};
    });
  };
  CHECK(waits("b", "c").code == Code::ok);
  CHECK(waits("c", "list").code == Code::ok);
  CHECK(waits("b", "list") == Answer{Code::field_invalid, "grants[0].after"});
  CHECK(with(set_in(C::VT_LOG, wire::Log::VT_ALL_ARGUMENTS, true)).code == Code::ok);
  CHECK(with([](WireTree& tree) {
          tree.tree(C::VT_LOG).members[wire::Log::VT_ALL_ARGUMENTS] = false;
          tree.tree(C::VT_LOG).members[wire::Log::VT_EXCEPT] = Words{"path"};
        }) == Answer{Code::field_invalid, "log.except"});
}

TEST_CASE("Unknown features, enumerators and fields are refused", "[capsules][R35]") {
  const auto unknown = [](const char* field) { return Answer{Code::feature_unknown, field}; };
  CHECK(with(set(C::VT_FEATURES, Words{})) == Answer{Code::ok, ""});
  CHECK(with(set(C::VT_FEATURES, Words{"moon-phase"})) == unknown("features"));
  for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{4}, std::uint8_t{255}}) {
    CHECK(with(set(C::VT_MIN_TIER, value)) == unknown("min_tier"));
    CHECK(with(set(C::VT_ENTRY, value)) == unknown("entry"));
    CHECK(with_grant(set(G::VT_EFFECT, value)) == unknown("grants[0].effect"));
    CHECK(with_grant(set(G::VT_DIGEST_KIND, value)) == unknown("grants[0].digest_kind"));
    CHECK(with_step(set(S::VT_ON_ERROR, value)) == unknown("plan.steps[1].on_error"));
    CHECK(with(set_in(C::VT_FRESHNESS, wire::Freshness::VT_TIME_ASSURANCE, value)) ==
          unknown("freshness.time_assurance"));
  }
  for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{9}, std::uint8_t{200}}) {
    CHECK(with_grant(set(G::VT_VERBS, Bytes{2, value})) == unknown("grants[0].verbs"));
  }
  // A field after the last one that the schema knows, in any table.
  CHECK(with(set(C::VT_LOG + 2, true)) == unknown(""));
  CHECK(with_grant(set(G::VT_IDEMPOTENCY + 2, true)) == unknown("grants[0]"));
  CHECK(with_step(set(S::VT_APPROVAL + 2, true)) == unknown("plan.steps[1]"));
  CHECK(with(set_in(C::VT_LEASE, wire::Lease::VT_LONG_LEASE + 2, true)) == unknown("lease"));
  CHECK(with_constraint({{K::VT_KIND, std::uint8_t{1}}, {K::VT_RULES + 2, true}}) ==
        unknown("grants[0].args[0].constraints[0]"));
}

TEST_CASE("Constraint kinds take their own operands and no others", "[capsules][R33][R35]") {
  using Kind = wire::ConstraintKind;
  const std::string path = "grants[0].args[0].constraints[0].";
  const auto is = [&](Code code, const char* field) { return Answer{code, path + field}; };
  for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{21}, std::uint8_t{255}}) {
    CHECK(with_constraint({{K::VT_KIND, value}}) == is(Code::feature_unknown, "kind"));
  }
  CHECK(with_constraint({{K::VT_KIND, kind(Kind::any)}, {K::VT_TEXT, text("x")}}) ==
        is(Code::field_invalid, "text"));
  CHECK(with_constraint({{K::VT_KIND, kind(Kind::at_least)},
                         {K::VT_NUMBER, number(1)},
                         {K::VT_UPPER, number(2)}}) == is(Code::field_invalid, "upper"));
  CHECK(with_constraint({{K::VT_KIND, kind(Kind::prefix)},
                         {K::VT_TEXT, text("x")},
                         {K::VT_CHILDREN, Trees{}}}) == is(Code::field_invalid, "children"));
  for (const char* json : {"", "1 ", "01", "{\"b\":1,\"a\":2}", "\"\\u0041\"", "x", "1,2", "1.5",
                           "1e3", "[1,{\"a\":0.5}]"}) {
    const Answer got =
        with_constraint({{K::VT_KIND, kind(Kind::equals)}, {K::VT_JSON, text(json)}});
    CHECK(got == is(*json == '\0' ? Code::field_missing : Code::field_invalid, "json"));
  }
  CHECK(with_constraint({{K::VT_KIND, kind(Kind::one_of)}, {K::VT_JSONS, Words{}}}) ==
        is(Code::field_missing, "jsons"));
  CHECK(with_constraint({{K::VT_KIND, kind(Kind::one_of)}, {K::VT_JSONS, Words(1025, "1")}}) ==
        is(Code::field_invalid, "jsons"));
  for (const char* tree : {"var", "/var/", "/var//log", "/var/../etc", "/.", "//"}) {
    CHECK(with_constraint({{K::VT_KIND, kind(Kind::under)}, {K::VT_TEXT, text(tree)}}) ==
          is(Code::field_invalid, "text"));
  }
  const auto length = [&](std::int64_t least, std::int64_t most) {
    return with_constraint({{K::VT_KIND, kind(Kind::length)},
                            {K::VT_NUMBER, number(least)},
                            {K::VT_UPPER, number(most)}});
  };
  CHECK(length(0, 0) == Answer{Code::ok, ""});
  CHECK(length(-1, 5) == is(Code::field_invalid, "number"));
  CHECK(length(5, 4) == is(Code::field_invalid, "upper"));
}

TEST_CASE("Operands of each kind are there, whole and in their one form", "[capsules][R35]") {
  using Kind = wire::ConstraintKind;
  const std::string path = "grants[0].args[0].constraints[0].";
  const auto is = [&](Code code, const char* field) { return Answer{code, path + field}; };
  const Answer good{Code::ok, ""};
  const WireTree any{{{K::VT_KIND, kind(Kind::any)}}};
  const auto of = [](Kind which, std::map<std::uint16_t, WireTree::Member> members) {
    members.emplace(K::VT_KIND, kind(which));
    return with_constraint(std::move(members));
  };
  const auto missing = [&](Kind which, const char* field) {
    CHECK(of(which, {}) == is(Code::field_missing, field));
    CHECK(of(which, {{K::VT_JSON, text("1")}}).code != Code::ok);
  };
  missing(Kind::suffix, "text");
  missing(Kind::url, "schemes");
  missing(Kind::cidr, "texts");
  missing(Kind::argv, "children");
  missing(Kind::each, "children");
  missing(Kind::all_of, "children");
  missing(Kind::any_of, "children");
  missing(Kind::count, "number");
  missing(Kind::fields, "rules");
  missing(Kind::time_of_day, "number");
  CHECK(of(Kind::not_one_of, {}) == is(Code::field_missing, "jsons"));
  CHECK(of(Kind::not_one_of, {{K::VT_JSONS, Words{"1", "\"a\"", "true"}}}) == good);
  for (const char* json : {"null", "[1]", "{}", "1.5", "[1.5]", "1 "}) {
    CHECK(of(Kind::not_one_of, {{K::VT_JSONS, Words{json}}}) == is(Code::field_invalid, "jsons"));
  }
  for (const char* json : {"1.0", "[1.5]", "{\"a\":[9223372036854775808]}"}) {
    CHECK(of(Kind::equals, {{K::VT_JSON, text(json)}}) == is(Code::field_invalid, "json"));
    CHECK(of(Kind::one_of, {{K::VT_JSONS, Words{json}}}) == is(Code::field_invalid, "jsons"));
  }
  for (const Kind many : {Kind::each, Kind::all_of}) {
    CHECK(of(many, {{K::VT_CHILDREN, Trees(16, any)}}) == good);
    CHECK(of(many, {{K::VT_CHILDREN, Trees(17, any)}}) == is(Code::field_invalid, "children"));
  }
  CHECK(of(Kind::any_of, {{K::VT_CHILDREN, Trees(64, any)}}) == good);
  CHECK(of(Kind::any_of, {{K::VT_CHILDREN, Trees(65, any)}}) ==
        is(Code::field_invalid, "children"));
  CHECK(of(Kind::argv, {{K::VT_CHILDREN, Trees(256, any)}}) == good);
  CHECK(of(Kind::argv, {{K::VT_CHILDREN, Trees(257, any)}}) == is(Code::field_invalid, "children"));
  CHECK(of(Kind::each, {{K::VT_CHILDREN, Trees{WireTree{}}}}) ==
        is(Code::field_missing, "children[0].kind"));
  const auto count = [&](std::int64_t least, std::int64_t most) {
    return of(Kind::count, {{K::VT_NUMBER, number(least)}, {K::VT_UPPER, number(most)}});
  };
  CHECK(count(0, 0) == good);
  CHECK(count(-1, 0) == is(Code::field_invalid, "number"));
  CHECK(count(2, 1) == is(Code::field_invalid, "upper"));
}

TEST_CASE("URLs, address blocks and times of day are in their one form", "[capsules][R35]") {
  using Kind = wire::ConstraintKind;
  const std::string path = "grants[0].args[0].constraints[0].";
  const auto invalid = [&](const char* field) { return Answer{Code::field_invalid, path + field}; };
  const auto missing = [&](const char* field) { return Answer{Code::field_missing, path + field}; };
  const auto url = [](std::uint16_t field, std::optional<WireTree::Member> member) {
    std::map<std::uint16_t, WireTree::Member> members = {{K::VT_KIND, kind(Kind::url)},
                                                         {K::VT_SCHEMES, Words{"https"}},
                                                         {K::VT_HOSTS, Words{"a.example"}},
                                                         {K::VT_TEXT, text("/")}};
    members.erase(field);
    if (member) members.emplace(field, *member);
    return with_constraint(members);
  };
  using Ports = WireTree::Ports;
  CHECK(url(K::VT_PORTS, std::nullopt) == Answer{Code::ok, ""});
  CHECK(url(K::VT_PORTS, Ports{}) == Answer{Code::ok, ""});
  CHECK(url(K::VT_PORTS, Ports{1, 65535}) == Answer{Code::ok, ""});
  CHECK(url(K::VT_PORTS, Ports{443, 0}) == invalid("ports"));
  CHECK(url(K::VT_PORTS, Ports(1025, 1)) == invalid("ports"));
  CHECK(url(K::VT_SCHEMES, std::nullopt) == missing("schemes"));
  CHECK(url(K::VT_HOSTS, std::nullopt) == missing("hosts"));
  CHECK(url(K::VT_TEXT, std::nullopt) == missing("text"));
  CHECK(url(K::VT_SCHEMES, Words{}) == missing("schemes"));
  CHECK(url(K::VT_HOSTS, Words{""}) == missing("hosts"));
  CHECK(url(K::VT_HOSTS, Words{"a", "a"}) == invalid("hosts"));
  CHECK(url(K::VT_TEXTS, Words{"x"}) == invalid("texts"));
  for (const char* scheme : {"HTTPS", "1a", "a b", "https:", "é"}) {
    CHECK(url(K::VT_SCHEMES, Words{scheme}) == invalid("schemes"));
  }
  for (const char* host : {"A.example", "a.example.", "a:80", "127.1", "::1", "[::ffff:1.2.3.4]"}) {
    CHECK(url(K::VT_HOSTS, Words{host}) == invalid("hosts"));
  }
  for (const char* under :
       {"api", "/api/", "//", "/a/../b", "/a b", "/é", "/%2e", "/a?b", "/a#b"}) {
    CHECK(url(K::VT_TEXT, text(under)) == invalid("text"));
  }
  for (const char* block :
       {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/-1",
        "10.0.0.1/31", "10.0.0/8", "10.0.0.0/8 ", "/8", "fd00::/129", "FD00::/8", "fd00::1/127",
        "::ffff:0:0/96", "::ffff:10.0.0.0/104", "a.example/8", "10.0.0.0/8/8"}) {
    INFO(block);
    CHECK(with_constraint({{K::VT_KIND, kind(Kind::cidr)}, {K::VT_TEXTS, Words{block}}}) ==
          invalid("texts"));
  }
  const auto time = [](std::int64_t from, std::int64_t to, std::int32_t offset) {
    return with_constraint({{K::VT_KIND, kind(Kind::time_of_day)},
                            {K::VT_NUMBER, number(from)},
                            {K::VT_UPPER, number(to)},
                            {K::VT_OFFSET_S, offset}});
  };
  CHECK(time(0, 86'399, 50'400) == Answer{Code::ok, ""});
  CHECK(time(86'399, 0, -50'400) == Answer{Code::ok, ""});
  CHECK(time(-1, 5, 0) == invalid("number"));
  CHECK(time(0, 86'400, 0) == invalid("upper"));
  CHECK(time(5, 5, 0) == invalid("upper"));
  CHECK(time(0, 5, 50'401) == invalid("offset_s"));
  CHECK(time(0, 5, -50'401) == invalid("offset_s"));
}

TEST_CASE("Constraints nest so deep and no deeper", "[capsules]") {
  using Kind = wire::ConstraintKind;
  const auto nested = [](int levels, Kind which) {
    WireTree tree{{{K::VT_KIND, kind(Kind::any)}}};
    for (int i = 1; i < levels; ++i) {
      tree = WireTree{{{K::VT_KIND, kind(which)}, {K::VT_CHILDREN, Trees{tree}}}};
    }
    return with_constraint(tree.members);
  };
  for (const Kind which : {Kind::each, Kind::all_of, Kind::any_of, Kind::argv}) {
    CHECK(nested(8, which).code == Code::ok);
    CHECK(nested(9, which).code == Code::field_invalid);
    CHECK(nested(9, which).field.ends_with("children[0].kind"));
    CHECK(nested(14, which).code == Code::payload_malformed);
  }
  const WireTree any{{{K::VT_KIND, kind(Kind::any)}}};
  const auto rule = [](const char* name, const WireTree& constraint) {
    return WireTree{{{wire::ArgRule::VT_NAME, text(name)},
                     {wire::ArgRule::VT_OPTIONAL, false},
                     {wire::ArgRule::VT_CONSTRAINTS, Trees{constraint}}}};
  };
  const auto fields = [](Trees rules) {
    return WireTree{{{K::VT_KIND, kind(Kind::fields)}, {K::VT_RULES, std::move(rules)}}};
  };
  CHECK(with_constraint(fields({rule("a", any), rule("b", any)}).members).code == Code::ok);
  CHECK(with_constraint(fields({rule("a", any), rule("a", any)}).members).code ==
        Code::field_invalid);
  CHECK(with_constraint(fields({rule("a", WireTree{})}).members).code == Code::field_missing);
  CHECK(with_constraint(fields(Trees(65, rule("a", any))).members).code == Code::field_invalid);
  WireTree deep = any;
  for (int i = 0; i < 7; ++i) deep = fields({rule("a", deep)});
  CHECK(with_constraint(deep.members).code == Code::payload_malformed);  // of the buffer's depth
}

TEST_CASE("Values outside their range are refused", "[capsules][R13]") {
  const auto invalid = [](const char* field) { return Answer{Code::field_invalid, field}; };
  CHECK(with(set(C::VT_ISSUER, Bytes(31))) == invalid("issuer"));
  CHECK(with(set(C::VT_HOLDER, Bytes(33))) == invalid("holder"));
  CHECK(with(set(C::VT_SERIAL, std::uint64_t{0})) == invalid("serial"));
  CHECK(with(set(C::VT_ISSUED_AT_S, number(-1))) == invalid("issued_at_s"));
  CHECK(with(set(C::VT_PURPOSE, text(""))) == Answer{Code::field_missing, "purpose"});
  CHECK(with(set(C::VT_PURPOSE, text("\xff"))) == invalid("purpose"));
  CHECK(with(set(C::VT_PURPOSE, std::string(4097, 'x'))) == invalid("purpose"));
  CHECK(with(set(C::VT_TENANT, std::string(257, 'x'))) == invalid("tenant"));
  CHECK(with(set(C::VT_ACTIVATIONS, std::uint32_t{0})) == invalid("activations"));
  CHECK(with(set(C::VT_ACTIVATIONS, std::uint32_t{1'000'001})) == invalid("activations"));
  using L = wire::Lease;
  CHECK(with(set_in(C::VT_LEASE, L::VT_TTL_MS, number(0))) == invalid("lease.ttl_ms"));
  CHECK(with(set_in(C::VT_LEASE, L::VT_TTL_MS, number(91LL * 86'400'000))) ==
        invalid("lease.ttl_ms"));
  CHECK(with(set_in(C::VT_LEASE, L::VT_IDLE_MS, number(9001))) == invalid("lease.idle_ms"));
  CHECK(with(set_in(C::VT_LEASE, L::VT_IDLE_MS, number(0))) == invalid("lease.idle_ms"));
  CHECK(with(set_in(C::VT_LEASE, L::VT_LONG_LEASE, false)) == invalid("lease.long_lease"));
  CHECK(with(set_in(C::VT_LEASE, L::VT_LONG_LEASE, true)) == invalid("features"));
  CHECK(with(set(C::VT_FEATURES, Words{"long-lease"})) == invalid("features"));
  CHECK(with(set(C::VT_FEATURES, Words{"agent"})) == invalid("features"));
  using W = wire::Window;
  CHECK(with(set_in(C::VT_WINDOW, W::VT_NOT_AFTER_S, number(1'790'000'000))) ==
        invalid("window.not_after_s"));
  CHECK(with(set_in(C::VT_WINDOW, W::VT_NOT_BEFORE_S, number(INT64_MIN))) ==
        invalid("window.not_before_s"));
  CHECK(with(set_in(C::VT_END_ON, wire::EndOn::VT_DENIALS, number(0))) ==
        invalid("end_on.denials"));
  CHECK(with(set_in(C::VT_END_ON, wire::EndOn::VT_FAILURE, std::uint8_t{2})) ==
        invalid("end_on.failure"));
  CHECK(with(set_in(C::VT_DELEGATION, wire::Delegation::VT_MAX_DEPTH, std::uint8_t{9})) ==
        invalid("delegation.max_depth"));
  CHECK(with(set_in(C::VT_LOG, wire::Log::VT_QUOTA_BYTES, number(0))) ==
        invalid("log.quota_bytes"));
  CHECK(with_grant(set(G::VT_VERBS, Bytes{2, 2})) == invalid("grants[0].verbs"));
  CHECK(with_grant(set(G::VT_VERBS, Bytes{})) == Answer{Code::field_missing, "grants[0].verbs"});
  CHECK(with_grant(set(G::VT_DIGEST_KIND, std::uint8_t{1})) == invalid("grants[0].digest"));
  CHECK(with_grant(set_in(G::VT_BUDGET, wire::Budget::VT_CALLS, number(-1))) ==
        invalid("grants[0].budget.calls"));
  CHECK(with_grant(set_in(G::VT_CELL, wire::Cell::VT_PROCESSES, number(129))) ==
        invalid("grants[0].cell.processes"));
  CHECK(with([](WireTree& tree) {
          auto& grants = std::get<Trees>(tree.members[C::VT_GRANTS]);
          grants.push_back(grants[0]);
        }) == invalid("grants"));
  CHECK(with(set(C::VT_GRANTS, Trees{})) == Answer{Code::field_missing, "grants"});
  CHECK(with_grant([](WireTree& grant) {
          auto& rules = std::get<Trees>(grant.members[G::VT_ARGS]);
          rules.push_back(rules[0]);
        }) == invalid("grants[0].args"));
  CHECK(with(set(C::VT_ENTRY, std::uint8_t{1})) == invalid("plan"));
}

TEST_CASE("A plan only refers to what it has", "[capsules]") {
  const auto args = [](const char* json) { return with_step(set(S::VT_ARGS, text(json))); };
  const Answer invalid{Code::field_invalid, "plan.steps[1].args"};
  CHECK(args("{}") == Answer{Code::ok, ""});
  CHECK(args(R"({"a":[{"$input":"n"},{"b":{"$step":"one","at":""}}]})") == Answer{Code::ok, ""});
  for (const char* json :
       {"[]", "1", "{ }", R"({"a":1,"a":2})", R"({"b":1,"a":1})", R"({"$input":"n"})",
        R"({"a":{"$input":"m"}})", R"({"a":{"$input":1}})", R"({"a":{"$input":"n","b":1}})",
        R"({"a":{"$step":"two","at":""}})", R"({"a":{"$step":"zero","at":""}})",
        R"({"a":{"$step":"one"}})", R"({"a":{"$step":"one","at":1}})",
        R"({"a":{"$step":"one","at":"x"}})", R"({"a":{"$step":"one","at":"/~2"}})",
        R"({"a":{"$step":"one","at":"/~"}})", R"({"a":{"$env":"HOME"}})",
        R"({"a":{"$input":"n","at":"/x"}})"}) {
    INFO(json);
    CHECK(args(json) == invalid);
  }
  CHECK(with_step(set(S::VT_NEEDS, Words{"two"})) ==
        Answer{Code::field_invalid, "plan.steps[1].needs"});
  CHECK(with_step(set(S::VT_NEEDS, Words{"one", "one"})) ==
        Answer{Code::field_invalid, "plan.steps[1].needs"});
  CHECK(with_step(set(S::VT_ID, text("one"))) == Answer{Code::field_invalid, "plan.steps[1].id"});
  CHECK(with(set_in(C::VT_PLAN, P::VT_INPUTS, Words{"n", "n"})) ==
        Answer{Code::field_invalid, "plan.inputs"});
}

TEST_CASE("A payload has no room for bytes that nobody reads", "[capsules]") {
  const Bytes payload = wire_bytes(sample_wire_capsule(), "TPCP");
  for (const std::size_t extra : {1U, 8U, 512U}) {
    Bytes longer = payload;
    longer.resize(payload.size() + extra, 0x55);
    CHECK(decode_capsule(longer).code() == Code::payload_malformed);
  }
  Bytes padded = payload;
  padded.resize(payload.size() + 8);
  CHECK(decode_capsule(padded).code() == Code::payload_malformed);
  for (std::size_t size = 0; size < payload.size(); size += 3) {
    CHECK_FALSE(decode_capsule(ByteSpan(payload).first(size)).ok());
  }
  CHECK(decode_capsule(wire_bytes(sample_wire_capsule(), "TPCQ")).code() ==
        Code::payload_malformed);
  CHECK(decode_capsule(wire_bytes(sample_wire_block(), "TPCP")).code() != Code::ok);
  CHECK(decode_capsule(Bytes(64 * 1024 + 1)).code() == Code::too_large);
}

TEST_CASE("Flipped bytes of a payload never decode to something unread", "[capsules]") {
  // Any change either is refused or changes what the capsule says; here only that nothing breaks.
  const Bytes payload = wire_bytes(sample_wire_capsule(), "TPCP");
  for (std::size_t i = 0; i < payload.size(); ++i) {
    for (const int mask : {0x01, 0x04, 0x80}) {
      Bytes changed = payload;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ mask);
      const auto result = decode_capsule(changed);
      if (!result.ok()) CHECK(result.code() != Code::unset);
    }
  }
}

TEST_CASE("Nesting and tables are bounded", "[capsules]") {
  WireTree deep{{{K::VT_KIND, std::uint8_t{18}}}};
  for (int i = 0; i < 14; ++i) {
    deep = WireTree{{{K::VT_KIND, std::uint8_t{18}}, {K::VT_CHILDREN, Trees{deep}}}};
  }
  CHECK(with_constraint(deep.members).code == Code::payload_malformed);
  const WireTree any{{{K::VT_KIND, std::uint8_t{1}}}};
  CHECK(with_grant([&](WireTree& grant) {
          grant.item(G::VT_ARGS, 0).members[wire::ArgRule::VT_CONSTRAINTS] = Trees(17, any);
        }).code == Code::field_invalid);
  CHECK(with_grant([&](WireTree& grant) {
          grant.item(G::VT_ARGS, 0).members[wire::ArgRule::VT_CONSTRAINTS] = Trees(4096, any);
        }).code == Code::payload_malformed);
}

TEST_CASE("A block's payload is as strict", "[capsules]") {
  using B = wire::Block;
  using Kept = wire::KeptGrant;
  const auto block = [](const Change& change) {
    WireTree tree = sample_wire_block();
    change(tree);
    return decode_block(wire_bytes(tree, "TPCP")).code();
  };
  const auto kept = [&](const Change& change) {
    return block([&](WireTree& tree) { change(tree.item(B::VT_GRANTS, 0)); });
  };
  CHECK(block([](WireTree&) {}) == Code::ok);
  for (const std::uint16_t field : {B::VT_PREVIOUS, B::VT_HOLDER, B::VT_GRANTS}) {
    CHECK(block([&](WireTree& t) { t.members.erase(field); }) == Code::field_missing);
  }
  CHECK(kept([](WireTree& t) { t.members.erase(Kept::VT_PARENT); }) == Code::field_missing);
  CHECK(kept([](WireTree& t) { t.members.erase(Kept::VT_ID); }) == Code::field_missing);
  CHECK(block(set(B::VT_FEATURES, Words{"x"})) == Code::feature_unknown);
  CHECK(block(set(B::VT_WINDOW + 2, true)) == Code::feature_unknown);
  CHECK(block([](WireTree& t) {
          auto& grants = std::get<Trees>(t.members[B::VT_GRANTS]);
          grants.push_back(grants[0]);
        }) == Code::field_invalid);
}

}  // namespace
}  // namespace taper::capsules
