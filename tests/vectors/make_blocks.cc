// Rows of payloads.vec: the payloads of narrowing blocks.
#include "tests/vectors/payload_rows.h"

namespace taper::testing::rows {
namespace {

using B = wire::Block;
using G = wire::KeptGrant;

WireTree kept(const char* id) { return tree({{G::VT_ID, text(id)}, {G::VT_PARENT, text("p")}}); }

WireTree base_block() {
  return tree({{B::VT_PREVIOUS, Octets(32, 1)},
               {B::VT_HOLDER, Octets(32, 2)},
               {B::VT_GRANTS, Trees{kept("a")}}});
}
WireTree changed(const Change& change) { return with(change, base_block()); }
WireTree kept_with(Field field, const Member& value) {
  return changed([&](WireTree& t) { t.item(B::VT_GRANTS, 0).members[field] = value; });
}
WireTree kept_without(Field field) {
  return changed([&](WireTree& t) { t.item(B::VT_GRANTS, 0).members.erase(field); });
}

void write_times() {
  using L = wire::Lease;
  using W = wire::Window;
  const auto lease = [](Field field, std::int64_t ms) {
    return changed(set(B::VT_LEASE, tree({{field, number(ms)}})));
  };
  const auto window = [](Field field, std::int64_t s) {
    return changed(set(B::VT_WINDOW, tree({{field, number(s)}})));
  };
  accepts_block("an empty lease and window", changed([](WireTree& t) {
                  t.members[B::VT_LEASE] = WireTree{};
                  t.members[B::VT_WINDOW] = WireTree{};
                }));
  accepts_block("idle alone, 90 days", lease(L::VT_IDLE_MS, kDays90));
  refuses_block(204, "lease.idle_ms", "idle beyond it", lease(L::VT_IDLE_MS, kDays90 + 1));
  refuses_block(204, "lease.ttl_ms", "no lease", lease(L::VT_TTL_MS, 0));
  accepts_block("an end alone", window(W::VT_NOT_AFTER_S, 0));
  refuses_block(204, "window.not_before_s", "before 1970", window(W::VT_NOT_BEFORE_S, -1));
  refuses_block(204, "window.not_after_s", "past the last second",
                window(W::VT_NOT_AFTER_S, kTimeMax + 1));
}

}  // namespace

void write_blocks() {
  accepts_block("one grant kept as it is", base_block());
  refuses_block(203, "previous", "after nothing", changed(without(B::VT_PREVIOUS)));
  refuses_block(204, "previous", "after half of a hash",
                changed(set(B::VT_PREVIOUS, Octets(16, 1))));
  refuses_block(203, "holder", "for nobody", changed(without(B::VT_HOLDER)));
  refuses_block(203, "grants", "grants left out", changed(without(B::VT_GRANTS)));
  refuses_block(203, "grants", "no grant", changed(set(B::VT_GRANTS, Trees{})));
  refuses_block(204, "grants", "an id twice",
                changed(set(B::VT_GRANTS, Trees{kept("a"), kept("a")})));
  refuses_block(205, "features", "a feature from tomorrow",
                changed(set(B::VT_FEATURES, Words{"tomorrow"})));
  refuses_block(205, "features", "a feature of capsules",
                changed(set(B::VT_FEATURES, Words{"long-lease"})));
  refuses_block(203, "grants[0].id", "no id", kept_without(G::VT_ID));
  refuses_block(203, "grants[0].parent", "no parent", kept_without(G::VT_PARENT));
  refuses_block(204, "grants[0].labels", "a label twice", kept_with(G::VT_LABELS, Words{"l", "l"}));
  refuses_block(203, "grants[0].refuse_after", "an empty label",
                kept_with(G::VT_REFUSE_AFTER, Words{""}));
  refuses_block(204, "grants[0].args", "an argument twice",
                kept_with(G::VT_ARGS, Trees{rule("x", {any()}), rule("x", {any()})}));
  refuses_block(203, "grants[0].args[0].constraints", "a rule of nothing",
                kept_with(G::VT_ARGS, Trees{rule("x", {})}));
  using S = wire::Budget;
  refuses_block(204, "grants[0].budget.calls", "fewer than no calls",
                kept_with(G::VT_BUDGET, tree({{S::VT_CALLS, number(-1)}})));
  accepts_block(
      "a sum of an argument that the block does not name",
      kept_with(G::VT_BUDGET, tree({{S::VT_SUM, tree({{wire::Sum::VT_ARGUMENT, text("amount")},
                                                      {wire::Sum::VT_MOST, number(5)}})}})));
  write_times();
  refuses_block(202, "", "a capsule's payload", base());
}

}  // namespace taper::testing::rows
