#include <limits>

#include "capsules/author/reader.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kCountMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMsPerS = 1000;

std::optional<Rate> read_rate(Section& budget) {
  std::optional<Section> rate = budget.section("rate");
  if (!rate) return std::nullopt;
  if (!rate->table().contains("count")) rate->missing("count", "10");
  if (!rate->table().contains("per")) rate->missing("per", "\"1m\"");
  Rate out;
  out.count = rate->integer("count", 1, limits::kRateCountMax).value_or(1);
  out.per_ms = rate->duration_ms("per").value_or(1);
  if (out.per_ms > limits::kLeaseTtlMaxMs) rate->wrong_type("per", "at most 90d", "lower it");
  rate->finish();
  return out;
}

std::optional<Sum> read_sum(Section& budget) {
  std::optional<Section> sum = budget.section("sum");
  if (!sum) return std::nullopt;
  if (!sum->table().contains("most")) sum->missing("most", "100");
  Sum out;
  out.argument =
      sum->required_text("argument", limits::kNameBytesMax, "\"an argument's name\"").value_or("");
  out.most = sum->integer("most", 0, kCountMax).value_or(0);
  sum->finish();
  return out;
}

}  // namespace

Budget read_budget(Section& grant) {
  Budget out;
  std::optional<Section> budget = grant.section("budget");
  if (!budget) return out;
  out.calls = budget->integer("calls", 1, kCountMax);
  out.rate = read_rate(*budget);
  out.bytes = budget->integer("bytes", 1, kCountMax);
  out.cpu_ms = budget->duration_ms("cpu");
  out.sum = read_sum(*budget);
  budget->finish();
  return out;
}

CellLimits read_cell(Section& owner) {
  CellLimits out;
  std::optional<Section> cell = owner.section("cell");
  if (!cell) return out;
  out.output_bytes =
      cell->integer("output_bytes", 1, static_cast<std::int64_t>(limits::kCellOutputBytes));
  out.memory_bytes =
      cell->integer("memory_bytes", 1, static_cast<std::int64_t>(limits::kCellMemoryBytes));
  out.processes = cell->integer("processes", 1, limits::kCellProcesses);
  if (const auto cpu = cell->duration_ms("cpu")) {
    out.cpu_s = *cpu / kMsPerS;
    if (*out.cpu_s > static_cast<std::int64_t>(limits::kCellCpuS)) {
      cell->wrong_type("cpu", "at most " + std::to_string(limits::kCellCpuS) + "s", "lower it");
    }
  }
  if (const auto wall = cell->duration_ms("wall")) {
    out.wall_ms = *wall;
    if (*wall > limits::kLeaseTtlMaxMs) cell->wrong_type("wall", "at most 90d", "lower it");
  }
  cell->not_yet({"trees", "hosts"});
  cell->finish();
  return out;
}

}  // namespace taper::capsules
