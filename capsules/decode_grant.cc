#include <limits>

#include "capsule_generated.h"
#include "capsules/decode.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

CellLimits decode_cell(const WireTable& table) {
  using C = wire::Cell;
  constexpr auto kBytes = static_cast<std::int64_t>(limits::kCellOutputBytes);
  constexpr auto kMemory = static_cast<std::int64_t>(limits::kCellMemoryBytes);
  constexpr auto kCpu = static_cast<std::int64_t>(limits::kCellCpuS);
  CellLimits out;
  table.refuse({{C::VT_TREES, "trees"}, {C::VT_HOSTS, "hosts"}});
  out.output_bytes = table.maybe_number({C::VT_OUTPUT_BYTES, "output_bytes"}, 1, kBytes);
  out.memory_bytes = table.maybe_number({C::VT_MEMORY_BYTES, "memory_bytes"}, 1, kMemory);
  out.processes = table.maybe_number({C::VT_PROCESSES, "processes"}, 1, limits::kCellProcesses);
  out.cpu_s = table.maybe_number({C::VT_CPU_S, "cpu_s"}, 1, kCpu);
  out.wall_ms = table.maybe_number({C::VT_WALL_MS, "wall_ms"}, 1, limits::kLeaseTtlMaxMs);
  return out;
}

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

Budget decode_budget(const WireTable& owner, Field field) {
  using B = wire::Budget;
  const WireTable table = owner.maybe_table(field, B::VT_SUM);
  table.refuse({{B::VT_RATE, "rate"}, {B::VT_CPU_MS, "cpu_ms"}, {B::VT_SUM, "sum"}});
  Budget out;
  out.calls = table.maybe_number({B::VT_CALLS, "calls"}, 0, kMost);
  out.bytes = table.maybe_number({B::VT_BYTES, "bytes"}, 0, kMost);
  return out;
}

Grant decode_grant(const WireTable& table) {
  using G = wire::Grant;
  Grant out;
  table.refuse({{G::VT_ACTION, "action"},
                {G::VT_LABELS, "labels"},
                {G::VT_REFUSE_AFTER, "refuse_after"},
                {G::VT_APPROVAL, "approval"},
                {G::VT_AFTER, "after"},
                {G::VT_IDEMPOTENCY, "idempotency"}});
  out.id = table.text({G::VT_ID, "id"}, limits::kNameBytesMax);
  out.tool = table.text({G::VT_TOOL, "tool"}, limits::kNameBytesMax);
  decode_digest(table, out);
  out.verbs = table.choices({G::VT_VERBS, "verbs"}, Verb::resume);
  out.args = decode_rules(table, {G::VT_ARGS, "args"});
  out.budget = decode_budget(table, {G::VT_BUDGET, "budget"});
  out.effect = table.choice({G::VT_EFFECT, "effect"}, Effect::irreversible);
  out.secrets = table.names({G::VT_SECRETS, "secrets"}, limits::kSecretsMax);
  out.cell = decode_cell(table.maybe_table({G::VT_CELL, "cell"}, wire::Cell::VT_WALL_MS));
  return out;
}

}  // namespace taper::capsules
