#include "tests/support/wire_tree.h"

#include <flatbuffers/flatbuffers.h>

#include <type_traits>

#include "capsule_generated.h"
#include "root_generated.h"

namespace taper::testing {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using flatbuffers::Table;
using flatbuffers::uoffset_t;

Offset<Table> write(FlatBufferBuilder& fbb, const WireTree& tree);

struct ChildWriter {
  FlatBufferBuilder& fbb;

  uoffset_t operator()(const std::string& text) const { return fbb.CreateString(text).o; }
  uoffset_t operator()(const WireTree::Octets& bytes) const {
    return fbb.CreateVector(bytes.data(), bytes.size()).o;
  }
  uoffset_t operator()(const WireTree::Words& words) const {
    return fbb.CreateVectorOfStrings(words).o;
  }
  uoffset_t operator()(const WireTree::Ports& ports) const { return fbb.CreateVector(ports).o; }
  uoffset_t operator()(const WireTree& tree) const { return write(fbb, tree).o; }
  uoffset_t operator()(const WireTree::Trees& trees) const {
    std::vector<Offset<Table>> items;
    for (const WireTree& tree : trees) items.push_back(write(fbb, tree));
    return fbb.CreateVector(items).o;
  }
  template <class Scalar>
  uoffset_t operator()(const Scalar&) const {
    return 0;
  }
};

Offset<Table> write(FlatBufferBuilder& fbb, const WireTree& tree) {
  std::map<std::uint16_t, uoffset_t> children;
  for (const auto& [field, member] : tree.members) {
    children[field] = std::visit(ChildWriter{fbb}, member);
  }
  const uoffset_t start = fbb.StartTable();
  for (const auto& [field, member] : tree.members) {
    const std::uint16_t at = field;
    if (children[at] != 0) {
      fbb.AddOffset(at, Offset<void>(children[at]));
      continue;
    }
    std::visit(
        [&fbb, at](const auto& value) {
          using T = std::remove_cvref_t<decltype(value)>;
          if constexpr (std::is_same_v<T, bool>) {
            fbb.AddElement<std::uint8_t>(at, value ? 1 : 0);
          } else if constexpr (std::is_arithmetic_v<T>) {
            fbb.AddElement<T>(at, value);
          }
        },
        member);
  }
  return Offset<Table>(fbb.EndTable(start));
}

using Tree = WireTree;
using Words = WireTree::Words;
using Trees = WireTree::Trees;
std::string text(const char* value) { return value; }

Tree constraint(wire::ConstraintKind kind, std::map<std::uint16_t, Tree::Member> operands = {}) {
  operands.emplace(wire::Constraint::VT_KIND, static_cast<std::uint8_t>(kind));
  return {std::move(operands)};
}

Tree rule(const char* name, Trees constraints) {
  using R = wire::ArgRule;
  return {{{R::VT_NAME, text(name)}, {R::VT_OPTIONAL, false}, {R::VT_CONSTRAINTS, constraints}}};
}

Trees sample_structures() {
  using C = wire::Constraint;
  using Kind = wire::ConstraintKind;
  const Tree any = constraint(Kind::any);
  return {
      constraint(Kind::not_one_of, {{C::VT_JSONS, Words{"1"}}}),
      constraint(Kind::suffix, {{C::VT_TEXT, text(".log")}}),
      constraint(Kind::url, {{C::VT_SCHEMES, Words{"https"}},
                             {C::VT_HOSTS, Words{"a.example"}},
                             {C::VT_PORTS, WireTree::Ports{443}},
                             {C::VT_TEXT, text("/api")}}),
      constraint(Kind::cidr, {{C::VT_TEXTS, Words{"10.0.0.0/8"}}}),
      constraint(Kind::argv, {{C::VT_CHILDREN, Trees{any}}}),
      constraint(Kind::each, {{C::VT_CHILDREN, Trees{any}}}),
      constraint(Kind::count, {{C::VT_NUMBER, std::int64_t{1}}, {C::VT_UPPER, std::int64_t{9}}}),
      constraint(Kind::fields, {{C::VT_RULES, Trees{rule("name", {any})}}}),
      constraint(Kind::all_of, {{C::VT_CHILDREN, Trees{any}}}),
      constraint(Kind::any_of, {{C::VT_CHILDREN, Trees{any}}}),
      constraint(Kind::time_of_day, {{C::VT_NUMBER, std::int64_t{0}},
                                     {C::VT_UPPER, std::int64_t{60}},
                                     {C::VT_OFFSET_S, std::int32_t{-3600}}}),
  };
}

Trees sample_rules() {
  using C = wire::Constraint;
  using Kind = wire::ConstraintKind;
  const std::int64_t one = 1;
  const std::int64_t nine = 9;
  return {
      rule("path", {constraint(Kind::under, {{C::VT_TEXT, text("/var/log")}}),
                    constraint(Kind::prefix, {{C::VT_TEXT, text("/var")}}),
                    constraint(Kind::glob, {{C::VT_TEXT, text("/var/*/?*")}}),
                    constraint(Kind::length, {{C::VT_NUMBER, one}, {C::VT_UPPER, nine}})}),
      rule("max_entries", {constraint(Kind::any), constraint(Kind::at_least, {{C::VT_NUMBER, one}}),
                           constraint(Kind::at_most, {{C::VT_NUMBER, nine}}),
                           constraint(Kind::one_of, {{C::VT_JSONS, Words{"1", "\"x\""}}}),
                           constraint(Kind::equals, {{C::VT_JSON, text("{\"a\":[1,null]}")}})}),
      rule("more", sample_structures())};
}

Tree sample_grant() {
  using G = wire::Grant;
  using B = wire::Budget;
  using L = wire::Cell;
  const std::int64_t ten = 10;
  const Tree budget{{{B::VT_CALLS, ten}, {B::VT_BYTES, ten}}};
  const Tree cell{{{L::VT_OUTPUT_BYTES, ten},
                   {L::VT_MEMORY_BYTES, ten},
                   {L::VT_PROCESSES, ten},
                   {L::VT_CPU_S, ten},
                   {L::VT_WALL_MS, ten}}};
  return {{{G::VT_ID, text("list")},
           {G::VT_TOOL, text("plant-list")},
           {G::VT_DIGEST_KIND, std::uint8_t{2}},
           {G::VT_DIGEST, Bytes(32, 3)},
           {G::VT_VERBS, Bytes{1, 2, 8}},
           {G::VT_ARGS, sample_rules()},
           {G::VT_BUDGET, budget},
           {G::VT_EFFECT, std::uint8_t{1}},
           {G::VT_CELL, cell}}};
}

Tree sample_plan() {
  using S = wire::Step;
  using P = wire::Plan;
  const Tree first{{{S::VT_ID, text("one")},
                    {S::VT_TOOL, text("plant-list")},
                    {S::VT_ARGS, text("{\"max_entries\":{\"$input\":\"n\"},\"path\":\"/var\"}")},
                    {S::VT_ON_ERROR, std::uint8_t{1}}}};
  Tree second = first;
  second.members[S::VT_ID] = text("two");
  second.members[S::VT_NEEDS] = Words{"one"};
  second.members[S::VT_ARGS] = text("{\"path\":{\"$step\":\"one\",\"at\":\"/a~1b/0\"}}");
  // Canonical: "$step" stands before "at" in byte order.
  second.members[S::VT_ON_ERROR] = std::uint8_t{2};
  return {{{P::VT_INPUTS, Words{"n"}}, {P::VT_STEPS, Trees{first, second}}}};
}

}  // namespace

Bytes wire_bytes(const WireTree& root, const char* identifier) {
  FlatBufferBuilder fbb;
  fbb.Finish(write(fbb, root), identifier);
  return Bytes(fbb.GetBufferPointer(), fbb.GetBufferPointer() + fbb.GetSize());
}

WireTree sample_wire_capsule() {
  using C = wire::Capsule;
  const std::int64_t time = 1'790'000'000;
  const Tree audience{{{wire::NodeAudience::VT_NODE, Bytes(32, 4)},
                       {wire::NodeAudience::VT_INCARNATION, Bytes(16, 5)}}};
  const Tree window{
      {{wire::Window::VT_NOT_BEFORE_S, time}, {wire::Window::VT_NOT_AFTER_S, time + 60}}};
  const Tree lease{{{wire::Lease::VT_TTL_MS, std::int64_t{9000}},
                    {wire::Lease::VT_IDLE_MS, std::int64_t{9000}}}};
  const Tree freshness{{{wire::Freshness::VT_MAX_REVOCATION_AGE_S, std::int64_t{60}},
                        {wire::Freshness::VT_TIME_ASSURANCE, std::uint8_t{2}}}};
  using E = wire::EndOn;
  const Tree end_on{{{E::VT_COMPLETION, true},
                     {E::VT_FAILURE, false},
                     {E::VT_DENIALS, std::int64_t{3}},
                     {E::VT_VIOLATION, true},
                     {E::VT_TOOL_DRIFT, true},
                     {E::VT_POLICY_DRIFT, true},
                     {E::VT_CLOCK_STEP, true}}};
  const Tree delegation{{{wire::Delegation::VT_MAX_DEPTH, std::uint8_t{0}}}};
  const Tree log{
      {{wire::Log::VT_ALL_ARGUMENTS, false}, {wire::Log::VT_QUOTA_BYTES, std::int64_t{1000}}}};
  return {{{C::VT_ISSUER, Bytes(32, 1)},
           {C::VT_SERIAL, std::uint64_t{7}},
           {C::VT_ISSUED_AT_S, time},
           {C::VT_FLEET, Bytes(32, 2)},
           {C::VT_TENANT, text("default")},
           {C::VT_PURPOSE, text("purpose")},
           {C::VT_REQUESTER, text("requester")},
           {C::VT_AGENT, text("agent")},
           {C::VT_HOLDER, Bytes(32, 3)},
           {C::VT_AUDIENCE, audience},
           {C::VT_WINDOW, window},
           {C::VT_ACTIVATIONS, std::uint32_t{1}},
           {C::VT_LEASE, lease},
           {C::VT_FRESHNESS, freshness},
           {C::VT_END_ON, end_on},
           {C::VT_GRANTS, Trees{sample_grant()}},
           {C::VT_MIN_TIER, std::uint8_t{2}},
           {C::VT_ENTRY, std::uint8_t{2}},
           {C::VT_PLAN, sample_plan()},
           {C::VT_DELEGATION, delegation},
           {C::VT_LOG, log}}};
}

WireTree sample_wire_block() {
  using B = wire::Block;
  using K = wire::KeptGrant;
  const Tree kept{{{K::VT_ID, text("mine")},
                   {K::VT_PARENT, text("list")},
                   {K::VT_ARGS, Trees{rule("path", {constraint(wire::ConstraintKind::any)})}}}};
  return {
      {{B::VT_PREVIOUS, Bytes(32, 1)}, {B::VT_HOLDER, Bytes(32, 2)}, {B::VT_GRANTS, Trees{kept}}}};
}

WireTree sample_wire_root() {
  using T = wire::TrustRoot;
  using L = wire::IssuerLimits;
  using I = wire::Issuer;
  const std::int64_t week = 604'800;
  const Tree limits{{{L::VT_MAX_TTL_MS, std::int64_t{3'600'000}},
                     {L::VT_MAX_VALIDITY_S, week},
                     {L::VT_MAX_REVOCATION_AGE_S, week},
                     {L::VT_ALL_TOOLS, true}}};
  const Tree issuer{{{I::VT_KEY, Bytes(32, 8)}, {I::VT_LIMITS, limits}}};
  return {{{T::VT_VERSION, std::uint64_t{1}},
           {T::VT_ISSUED_AT_S, std::int64_t{1'790'000'000}},
           {T::VT_ROOT_KEYS, Trees{Tree{{{wire::Key::VT_KEY, Bytes(32, 9)}}}}},
           {T::VT_ROOT_THRESHOLD, std::uint32_t{1}},
           {T::VT_ISSUERS, Trees{issuer}},
           {T::VT_ISSUER_THRESHOLD, std::uint32_t{1}}}};
}

}  // namespace taper::testing
