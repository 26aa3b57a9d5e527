#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "crypto/crypto.h"
#include "tests/bench/rows.h"

namespace taper::bench {
namespace {

struct Entry {
  std::string row, label, goal;
  Side side = Side::ours;
  double us = -1;
};

std::map<std::string, Entry>& entries() {
  static std::map<std::string, Entry> all;
  return all;
}
std::vector<std::string>& order() {
  static std::vector<std::string> all;
  return all;
}

// Keeps the median of each benchmark's repetitions and prints the rows as one table.
class TableReporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) {
        std::printf("not ok: %s: %s\n", run.run_name.function_name.c_str(),
                    run.error_message.c_str());
        failed_ = true;
        continue;
      }
      if (run.run_type == Run::RT_Aggregate && run.aggregate_name != "median") continue;
      const auto found = entries().find(run.run_name.function_name);
      if (found == entries().end()) continue;
      if (run.run_type == Run::RT_Aggregate || found->second.us < 0) {
        found->second.us = run.real_accumulated_time / static_cast<double>(run.iterations) * 1e6;
        if (run.run_type == Run::RT_Aggregate) found->second.us = run.GetAdjustedRealTime();
      }
    }
    std::fputc('.', stderr);
  }
  void Finalize() override {
    std::printf("\n%-34s %-30s %12s %10s  %s\n", "what", "side", "median us", "x floor", "goal");
    std::map<std::string, double> floors;
    for (const auto& [name, entry] : entries()) {
      if (entry.side == Side::floor) floors[entry.row] = entry.us;
    }
    std::string last;
    for (const std::string& name : order()) {
      const Entry& entry = entries()[name];
      if (entry.us < 0) continue;
      const double floor = floors.count(entry.row) != 0 ? floors[entry.row] : 0;
      std::printf("%-34s %-30s %12.3f", entry.row == last ? "" : entry.row.c_str(),
                  entry.label.c_str(), entry.us);
      if (entry.side != Side::floor && floor > 0) {
        std::printf(" %10.2f", entry.us / floor);
      } else {
        std::printf(" %10s", "");
      }
      std::printf("  %s\n", entry.goal.c_str());
      last = entry.row;
    }
  }
  bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

std::vector<std::string>& scratch() {
  static std::vector<std::string> all;
  return all;
}

}  // namespace

void add(const std::string& row, Side side, const std::string& label, const std::string& goal,
         std::function<void(benchmark::State&)> body) {
  const std::string name = row + "/" + label;
  entries()[name] = {.row = row, .label = label, .goal = goal, .side = side, .us = -1};
  order().push_back(name);
  benchmark::RegisterBenchmark(name.c_str(),
                               [body = std::move(body)](benchmark::State& state) { body(state); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond)
      ->Repetitions(5)
      ->ReportAggregatesOnly(true);
}

namespace {
void clear() {
  for (const std::string& path : scratch()) std::filesystem::remove_all(path);
}
std::string directory_in(const std::string& parent, const std::string& name) {
  std::string path = parent + "/bench-" + name + "-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) std::abort();
  scratch().push_back(path);
  return path;
}
}  // namespace

std::string scratch_directory(const std::string& name) {
  return directory_in(std::filesystem::current_path().string(), name);
}
std::string memory_directory(const std::string& name) { return directory_in("/dev/shm", name); }

}  // namespace taper::bench

int main(int argc, char** argv) {
  if (!taper::crypto::initialise().ok()) return 1;
  if (argc == 2 && std::string_view(argv[1]) == "--floor") {
    const bool done = taper::bench::answer_with_floor();
    taper::bench::clear();
    return done ? 0 : 1;
  }
  taper::bench::register_decision();
  taper::bench::register_capsule();
  taper::bench::register_store();
  taper::bench::register_log();
  taper::bench::register_spawn();
  benchmark::Initialize(&argc, argv);
  taper::bench::TableReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  taper::bench::clear();
  return reporter.failed() ? 1 : 0;
}
