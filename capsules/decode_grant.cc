#include <limits>

#include "capsule_generated.h"
#include "capsules/decode.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

void decode_digest(const WireTable& table, Grant& out) {
  using G = wire::Grant;
  constexpr Field kDigest{G::VT_DIGEST, "digest"};
  out.digest_kind = table.choice({G::VT_DIGEST_KIND, "digest_kind"}, DigestKind::unpinned);
  if (out.digest_kind == DigestKind::pinned) {
    out.digest = table.id<Hash>(kDigest);
  } else if (table.has(kDigest)) {
    table.invalid(kDigest, "absent unless pinned", "present");
  }
}

}  // namespace

CellLimits decode_cell(const WireTable& owner, Field field) {
  using C = wire::Cell;
  constexpr auto kBytes = static_cast<std::int64_t>(limits::kCellOutputBytes);
  constexpr auto kMemory = static_cast<std::int64_t>(limits::kCellMemoryBytes);
  constexpr auto kCpu = static_cast<std::int64_t>(limits::kCellCpuS);
  const WireTable table = owner.maybe_table(field, C::VT_WALL_MS);
  CellLimits out;
  table.refuse({{C::VT_TREES, "trees"}, {C::VT_HOSTS, "hosts"}});
  out.output_bytes = table.maybe_number({C::VT_OUTPUT_BYTES, "output_bytes"}, 1, kBytes);
  out.memory_bytes = table.maybe_number({C::VT_MEMORY_BYTES, "memory_bytes"}, 1, kMemory);
  out.processes = table.maybe_number({C::VT_PROCESSES, "processes"}, 1, limits::kCellProcesses);
  out.cpu_s = table.maybe_number({C::VT_CPU_S, "cpu_s"}, 1, kCpu);
  out.wall_ms = table.maybe_number({C::VT_WALL_MS, "wall_ms"}, 1, limits::kLeaseTtlMaxMs);
  return out;
}

Budget decode_budget(const WireTable& owner, Field field) {
  using B = wire::Budget;
  using R = wire::Rate;
  using S = wire::Sum;
  const WireTable table = owner.maybe_table(field, B::VT_SUM);
  Budget out;
  out.calls = table.maybe_number({B::VT_CALLS, "calls"}, 0, kMost);
  const WireTable rate = table.maybe_table({B::VT_RATE, "rate"}, R::VT_PER_MS);
  if (rate.present())
    out.rate = Rate{rate.number({R::VT_COUNT, "count"}, 1, limits::kRateCountMax),
                    rate.number({R::VT_PER_MS, "per_ms"}, 1, limits::kLeaseTtlMaxMs)};
  out.bytes = table.maybe_number({B::VT_BYTES, "bytes"}, 0, kMost);
  out.cpu_ms = table.maybe_number({B::VT_CPU_MS, "cpu_ms"}, 0, kMost);
  const WireTable sum = table.maybe_table({B::VT_SUM, "sum"}, S::VT_MOST);
  if (sum.present())
    out.sum = Sum{sum.text({S::VT_ARGUMENT, "argument"}, limits::kNameBytesMax),
                  sum.number({S::VT_MOST, "most"}, 0, kMost)};
  return out;
}

Grant decode_grant(const WireTable& table) {
  using G = wire::Grant;
  Grant out;
  table.refuse({{G::VT_ACTION, "action"}, {G::VT_APPROVAL, "approval"}});
  out.id = table.text({G::VT_ID, "id"}, limits::kNameBytesMax);
  out.tool = table.text({G::VT_TOOL, "tool"}, limits::kNameBytesMax);
  decode_digest(table, out);
  out.verbs = table.choices({G::VT_VERBS, "verbs"}, Verb::resume);
  out.args = decode_rules(table, {G::VT_ARGS, "args"});
  out.budget = decode_budget(table, {G::VT_BUDGET, "budget"});
  out.effect = table.choice({G::VT_EFFECT, "effect"}, Effect::irreversible);
  out.secrets = table.names({G::VT_SECRETS, "secrets"}, limits::kSecretsMax);
  out.labels = table.names({G::VT_LABELS, "labels"}, limits::kLabelsMax);
  out.refuse_after = table.names({G::VT_REFUSE_AFTER, "refuse_after"}, limits::kLabelsMax);
  out.cell = decode_cell(table, {G::VT_CELL, "cell"});
  out.after = table.names({G::VT_AFTER, "after"}, limits::kNeedsMax);
  constexpr Field kIdempotency{G::VT_IDEMPOTENCY, "idempotency"};
  if (table.has(kIdempotency)) out.idempotency = table.text(kIdempotency, limits::kNameBytesMax);
  return out;
}

}  // namespace taper::capsules
