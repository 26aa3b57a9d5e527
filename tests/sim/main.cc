// taper-sim: histories of hosts, each made by its seed. README.md beside this file.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "crypto/crypto.h"
#include "tests/sim/history.h"
#include "tests/sim/policy.h"

namespace taper::sim {
namespace {

struct Options {
  std::string seeds = "1..100", policy = std::string(policy_name()), expect;
  bool json = false, trace = false, first = false;
  std::uint64_t from = 0, to = 0;
};

bool parse_seeds(Options& options) {
  const std::size_t dots = options.seeds.find("..");
  char* end = nullptr;
  options.from = std::strtoull(options.seeds.c_str(), &end, 10);
  options.to = options.from;
  if (dots != std::string::npos)
    options.to = std::strtoull(options.seeds.c_str() + dots + 2, &end, 10);
  return *end == '\0' && options.from <= options.to;
}

// Each policy is a program of its own, with other definitions of runtime/authority/time.h.
int become(const std::string& policy, char** words) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string other =
      (self.parent_path() / (policy == "ours" ? "taper-sim" : "taper-sim-" + policy)).string();
  ::execv(other.c_str(), words);
  std::cerr << "taper-sim: no program " << other << "\n";
  return 2;
}

std::string counted(const std::array<std::uint64_t, kInvariants>& counts) {
  std::string out = "{";
  for (std::size_t i = 0; i < kInvariants; ++i)
    out +=
        (i == 0 ? "" : ", ") + ("\"I" + std::to_string(i + 1) + "\": ") + std::to_string(counts[i]);
  return out + "}";
}

void print_json(const Options& options, const Report& report) {
  std::string faults;
  for (const auto& [kind, count] : report.faults)
    faults += (faults.empty() ? "\"" : ", \"") + kind + "\": " + std::to_string(count);
  std::cout << "{\"policy\": \"" << policy_name() << "\", \"seeds\": \"" << options.from << ".."
            << options.to << "\", \"operations\": " << report.operations << ", \"faults\": {"
            << faults << "}, \"checks\": " << counted(report.checks)
            << ", \"violations\": " << counted(report.violations)
            << ", \"bricked\": " << report.bricked << "}\n";
}

void print_summary(const Options& options, const Report& report, std::uint64_t histories) {
  const auto row = [&](Row which) { return report.rows[static_cast<std::size_t>(which)]; };
  std::cout << "policy " << policy_name() << ", seeds " << options.from << ".." << options.to
            << ": " << histories << " histories, " << report.operations << " operations\nfaults:";
  for (const auto& [kind, count] : report.faults) std::cout << " " << kind << " " << count;
  std::cout << "\nchecks     " << counted(report.checks) << "\nviolations "
            << counted(report.violations)
            << "\nhistories in which something ran after signed proof "
            << "of expiry: " << row(Row::after_proof)
            << ", was active for longer than its TTL: " << row(Row::over_ttl)
            << ", counted twice: " << row(Row::replayed)
            << ", left a host bricked after repair: " << report.bricked << "\n";
}

// "after-proof,over-ttl,replayed,bricked": each must have been seen. Without: nothing may be wrong.
bool as_expected(const std::string& expect, const Report& report) {
  if (expect.empty()) return report.clean();
  const std::map<std::string, std::uint64_t> seen = {
      {"after-proof", report.rows[static_cast<std::size_t>(Row::after_proof)]},
      {"over-ttl", report.rows[static_cast<std::size_t>(Row::over_ttl)]},
      {"replayed", report.rows[static_cast<std::size_t>(Row::replayed)]},
      {"bricked", report.bricked}};
  std::stringstream names(expect);
  for (std::string name; std::getline(names, name, ',');) {
    const auto found = seen.find(name);
    if (found == seen.end() || found->second == 0) return false;
  }
  return true;
}

int run(const Options& options) {
  const std::string base = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
  std::string folder = base + "/taper-sim-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 2;
  seed_crypto(0);
  if (!crypto::initialise().ok()) return 2;
  Report report;
  std::uint64_t histories = 0;
  constexpr std::uint64_t kTellOfOne = 10, kTellOfMany = 1;
  for (std::uint64_t seed = options.from; seed <= options.to; ++seed) {
    seed_crypto(seed);
    const bool one = options.from == options.to;
    const bool quiet = report.violations != Report{}.violations && !one;
    const std::uint64_t told = one ? kTellOfOne : quiet && histories > 20 ? 0 : kTellOfMany;
    History(seed, folder + "/history", report, {options.trace, told}).run();
    ++histories;
    if (options.first && !report.clean()) break;
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  options.json ? print_json(options, report) : print_summary(options, report, histories);
  if (options.first && !report.clean())
    std::cerr << "caught in history " << histories << " of " << options.seeds << "\n";
  return as_expected(options.expect, report) ? 0 : 1;
}

}  // namespace
}  // namespace taper::sim

int main(int count, char** words) {
  taper::sim::Options options;
  CLI::App app("Histories of simulated hosts, each made by its seed.");
  app.add_option("--seeds", options.seeds, "A..B, or one");
  app.add_option("--policy", options.policy, "what is believed of time")
      ->check(CLI::IsMember({"ours", "wall", "highwater", "ours-without-metering"}));
  app.add_option("--expect", options.expect,
                 "what must be seen: after-proof, over-ttl, replayed, bricked, with commas");
  app.add_flag("--json", options.json, "one line of JSON");
  app.add_flag("--trace", options.trace, "tell every operation");
  app.add_flag("--first", options.first, "stop after the first history with a violation");
  CLI11_PARSE(app, count, words);
  if (!taper::sim::parse_seeds(options)) {
    std::cerr << "--seeds: A..B\n";
    return 2;
  }
  if (options.policy != taper::sim::policy_name()) return taper::sim::become(options.policy, words);
  return taper::sim::run(options);
}
