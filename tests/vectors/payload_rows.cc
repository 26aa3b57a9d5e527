#include "tests/vectors/payload_rows.h"

#include <cstdio>

#include "crypto/crypto.h"
#include "runtime/base/text.h"

namespace taper::testing::rows {
namespace {

using C = wire::Capsule;
using G = wire::Grant;
using K = wire::Constraint;
using P = wire::Plan;
using S = wire::Step;

}  // namespace

WireTree constraint(Kind kind, std::map<Field, Member> operands) {
  operands.emplace(K::VT_KIND, static_cast<std::uint8_t>(kind));
  return {std::move(operands)};
}
WireTree rule(const char* name, Trees constraints) {
  using R = wire::ArgRule;
  return tree({{R::VT_NAME, text(name)},
               {R::VT_OPTIONAL, false},
               {R::VT_CONSTRAINTS, std::move(constraints)}});
}

WireTree base_grant() {
  return tree({{G::VT_ID, text("g")},
               {G::VT_TOOL, text("t")},
               {G::VT_DIGEST_KIND, octet(1)},
               {G::VT_VERBS, Octets{2}},
               {G::VT_EFFECT, octet(1)}});
}

namespace {

WireTree base_times(WireTree out) {
  out.members[C::VT_WINDOW] = tree({{wire::Window::VT_NOT_BEFORE_S, number(kTime)},
                                    {wire::Window::VT_NOT_AFTER_S, number(kTime + 60)}});
  out.members[C::VT_ACTIVATIONS] = word(1);
  out.members[C::VT_LEASE] =
      tree({{wire::Lease::VT_TTL_MS, number(60)}, {wire::Lease::VT_IDLE_MS, number(60)}});
  out.members[C::VT_FRESHNESS] = tree({{wire::Freshness::VT_MAX_REVOCATION_AGE_S, number(60)},
                                       {wire::Freshness::VT_TIME_ASSURANCE, octet(2)}});
  return out;
}

}  // namespace

WireTree base() {
  using E = wire::EndOn;
  return base_times(tree(
      {{C::VT_ISSUER, Octets(32, 1)},
       {C::VT_SERIAL, std::uint64_t{7}},
       {C::VT_ISSUED_AT_S, number(kTime)},
       {C::VT_FLEET, Octets(32, 2)},
       {C::VT_TENANT, text("t")},
       {C::VT_PURPOSE, text("p")},
       {C::VT_REQUESTER, text("r")},
       {C::VT_AGENT, text("a")},
       {C::VT_HOLDER, Octets(32, 3)},
       {C::VT_AUDIENCE, tree({{wire::NodeAudience::VT_NODE, Octets(32, 4)},
                              {wire::NodeAudience::VT_INCARNATION, Octets(16, 5)}})},
       {C::VT_END_ON, tree({{E::VT_COMPLETION, true},
                            {E::VT_FAILURE, false},
                            {E::VT_DENIALS, number(3)},
                            {E::VT_VIOLATION, true},
                            {E::VT_TOOL_DRIFT, true},
                            {E::VT_POLICY_DRIFT, true},
                            {E::VT_CLOCK_STEP, true}})},
       {C::VT_GRANTS, Trees{base_grant()}},
       {C::VT_MIN_TIER, octet(2)},
       {C::VT_ENTRY, octet(1)},
       {C::VT_DELEGATION, tree({{wire::Delegation::VT_MAX_DEPTH, octet(0)}})},
       {C::VT_LOG,
        tree({{wire::Log::VT_ALL_ARGUMENTS, false}, {wire::Log::VT_QUOTA_BYTES, number(1000)}})}}));
}

namespace {

WireTree base_step(const char* id, const char* args) {
  return tree({{S::VT_ID, text(id)},
               {S::VT_TOOL, text("t")},
               {S::VT_ARGS, text(args)},
               {S::VT_ON_ERROR, octet(1)}});
}

}  // namespace

WireTree base_plan() {
  WireTree out = base();
  out.members[C::VT_ENTRY] = octet(2);
  out.members[C::VT_PLAN] =
      tree({{P::VT_INPUTS, Words{"n"}},
            {P::VT_STEPS, Trees{base_step("one", "{}"), base_step("two", "{}")}}});
  return out;
}

namespace {

// `what` is capsule or block.
void write(const char* what, const char* about, ByteSpan payload, const std::string& expected) {
  std::printf("# %s\n%s: %s\nexpect: %s\n", about, what, to_hex(payload).c_str(), expected.c_str());
}
std::string accepted(ByteSpan payload) { return "accepts " + crypto::hash(payload).hex(); }
std::string refused(int number, const std::string& field) {
  return "refuses " + std::to_string(number) + (field.empty() ? "" : " " + field);
}

}  // namespace

void accepts_bytes(const char* about, ByteSpan payload) {
  write("capsule", about, payload, accepted(payload));
}
void refuses_bytes(int number, const std::string& field, const char* about, ByteSpan payload) {
  write("capsule", about, payload, refused(number, field));
}
void accepts_block(const char* about, const WireTree& block) {
  const Bytes payload = wire_bytes(block, wire::CapsuleIdentifier());
  write("block", about, payload, accepted(payload));
}
void refuses_block(int number, const std::string& field, const char* about, const WireTree& block) {
  write("block", about, wire_bytes(block, wire::CapsuleIdentifier()), refused(number, field));
}
void accepts(const char* about, const WireTree& capsule) {
  accepts_bytes(about, wire_bytes(capsule, wire::CapsuleIdentifier()));
}
void refuses(int number, const std::string& field, const char* about, const WireTree& capsule) {
  refuses_bytes(number, field, about, wire_bytes(capsule, wire::CapsuleIdentifier()));
}

Change set(Field field, Member value) {
  return [=](WireTree& t) { t.members[field] = value; };
}
Change set_in(Field table, Field field, Member value) {
  return [=](WireTree& t) { t.tree(table).members[field] = value; };
}
Change without(Field field) {
  return [=](WireTree& t) { t.members.erase(field); };
}
Change without_in(Field table, Field field) {
  return [=](WireTree& t) { t.tree(table).members.erase(field); };
}
WireTree with(const Change& change, WireTree out) {
  change(out);
  return out;
}
WireTree with_grant(const Change& change) {
  return with([&](WireTree& t) { change(t.item(C::VT_GRANTS, 0)); });
}
WireTree with_grants(const Change& first, const Change& second) {
  return with([&](WireTree& t) {
    t.members[C::VT_GRANTS] = Trees{base_grant(), base_grant()};
    t.item(C::VT_GRANTS, 1).members[G::VT_ID] = text("h");
    first(t.item(C::VT_GRANTS, 0));
    second(t.item(C::VT_GRANTS, 1));
  });
}
WireTree with_constraint(const WireTree& one) {
  return with_grant([&](WireTree& g) { g.members[G::VT_ARGS] = Trees{rule("x", {one})}; });
}
WireTree with_step(const Change& change) {
  return with([&](WireTree& t) { change(t.tree(C::VT_PLAN).item(P::VT_STEPS, 1)); }, base_plan());
}

}  // namespace taper::testing::rows
