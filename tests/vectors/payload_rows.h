// Payloads for payloads.vec: a least capsule, changed by a row's one fault, and the row itself.
#pragma once

#include <functional>
#include <string>

#include "capsule_generated.h"
#include "tests/support/wire_tree.h"

namespace taper::testing::rows {

using Change = std::function<void(WireTree&)>;
using Field = std::uint16_t;  // a vtable offset
using Kind = wire::ConstraintKind;
using Member = WireTree::Member;
using Octets = WireTree::Octets;
using Trees = WireTree::Trees;
using Words = WireTree::Words;

inline constexpr std::int64_t kTime = 1'790'000'000;
inline constexpr std::int64_t kTimeMax = 253'402'300'799;
inline constexpr std::int64_t kDays90 = 7'776'000'000;

inline Member text(std::string value) { return value; }
inline Member number(std::int64_t value) { return value; }
inline Member octet(std::uint8_t value) { return value; }
inline Member word(std::uint32_t value) { return value; }
inline WireTree tree(std::map<Field, Member> members) { return {std::move(members)}; }
WireTree constraint(Kind kind, std::map<Field, Member> operands = {});
inline WireTree any() { return constraint(Kind::any); }
WireTree rule(const char* name, Trees constraints);

WireTree base_grant();
WireTree base();       // the least that a capsule says: a session with one grant
WireTree base_plan();  // as a plan of two steps with an input

// One case: the payload in hex, and that it is accepted or refused with this number and field.
void accepts(const char* about, const WireTree& capsule);
void refuses(int number, const std::string& field, const char* about, const WireTree& capsule);
void accepts_bytes(const char* about, ByteSpan payload);
void accepts_block(const char* about, const WireTree& block);
void refuses_block(int number, const std::string& field, const char* about, const WireTree& block);
void refuses_bytes(int number, const std::string& field, const char* about, ByteSpan payload);

Change set(Field field, Member value);
Change set_in(Field table, Field field, Member value);
Change without(Field field);
Change without_in(Field table, Field field);
inline void same(WireTree&) {}
WireTree with(const Change& change, WireTree out = base());
WireTree with_grant(const Change& change);
WireTree with_grants(const Change& first, const Change& second);  // of ids g and h
WireTree with_constraint(const WireTree& one);                    // of the argument x
WireTree with_step(const Change& change);                         // the second

void write_operands();
void write_structure();
void write_blocks();

}  // namespace taper::testing::rows
