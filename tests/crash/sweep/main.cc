// What this does to you: breaks whole runs of a node at every system call that changes its state,
// starts a process or maps a file, in every way listed below; some thousand short runs. Only its
// own files in /dev/shm and /tmp are touched.
//
// usage: crash_sweep SCENARIO [--all | --stride N] [--fault NAME] [--at N] [--verbose]
//        crash_sweep kinds     every place that commits, and every kind of record, is in some
//        scenario crash_sweep load      kills at random moments, one run after the other on one
//        state
// Every fault is tried at every Nth place, another Nth for each fault; --all means every place.
#include <sys/wait.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "tests/crash/sweep/kinds.h"
#include "tests/crash/sweep/load.h"
#include "tests/crash/sweep/scenario.h"

namespace taper::crash {
namespace {

struct Fault {
  const char* name;
  fault_kind kind;
  int error;
  bool sticky;
  unsigned seed;   // 0: none
  unsigned child;  // where the spawned process is broken; 0: nowhere
  bool (*fits)(unsigned op);
};

bool any(unsigned) { return true; }
bool writes(unsigned op) { return op == op_write; }
bool takes_space(unsigned op) {
  return op == op_write || op == op_allocate || op == op_create || op == op_mkdir ||
         op == op_rename || op == op_link;
}
bool stores(unsigned op) { return op == op_write || op == op_sync || op == op_allocate; }

bool spawns(unsigned op) { return op == op_spawn; }

constexpr unsigned kKillsUnderLoad = 200;
constexpr unsigned kChildFails = 1;
constexpr unsigned kChildDies = 2;
constexpr unsigned kChildPlaces = 6;  // processes that the spawner makes in a run, at most

constexpr Fault kFaults[] = {
    {"kill", fault_kill, 0, false, 0, 0, any},
    {"power-cut", fault_power_cut, 0, false, 0, 0, any},
    {"power-cut-some", fault_power_cut, 0, false, 1, 0, any},
    {"eio", fault_error, EIO, false, 0, 0, any},
    {"enospc", fault_error, ENOSPC, false, 0, 0, takes_space},
    {"short-write", fault_short, 0, false, 0, 0, writes},
    {"dead-disk", fault_error, EIO, true, 0, 0, stores},
    {"spawner-fails", fault_none, 0, false, 0, kChildFails, spawns},
    {"spawner-dies", fault_none, 0, false, 0, kChildDies, spawns},
};

struct Options {
  std::string scenario, fault;
  std::uint64_t stride = 1, at = 0;
  bool verbose = false;
};

struct Totals {
  int runs = 0, unreached = 0, problems = 0;
};

void arm(fault_plan& plan, const Fault& fault, std::uint64_t at, unsigned child = 0) {
  plan.kind = static_cast<std::uint32_t>(fault.kind);
  plan.error = fault.error;
  plan.sticky = fault.sticky ? 1 : 0;
  plan.seed = fault.seed == 0 ? 0 : static_cast<unsigned>(at) * 7919 + fault.seed;
  plan.at = at;
  plan.child_at = child;
  plan.child_dies = fault.child == kChildDies ? 1 : 0;
}

// An armed kill ends by SIGKILL; every other run by itself, with or without an error.
bool ended_well(const Fault& fault, const Ended& ended) {
  if (ended.hung || ended.left) return false;
  const bool kills = fault.kind == fault_kill || fault.kind == fault_power_cut;
  return ended.status <= 1 || (kills && ended.status == 128 + SIGKILL);
}

void break_once(World& world, const Scenario& scenario, const Fault& fault, std::uint64_t at,
                unsigned child, const Options& options, Totals& totals) {
  world.put_back();
  arm(world.shared().plan, fault, at, child);
  const Ended ended = world.run([&] { return scenario.act(world); });
  const std::uint64_t reached = world.shared().plan.count;
  const unsigned op = world.shared().plan.ops[at - 1];
  const std::string error = world.shared().error;
  std::vector<std::string> problems = examine(world, scenario);
  if (!ended_well(fault, ended))
    problems.push_back("the broken run ended with " + std::to_string(ended.status));
  ++totals.runs;
  if (reached < at) ++totals.unreached;
  if (options.verbose)
    std::printf("%s %s at %llu (%s): %d %s\n", scenario.name.c_str(), fault.name,
                static_cast<unsigned long long>(at), fault_op_name(op), ended.status,
                error.c_str());
  for (const std::string& problem : problems) {
    ++totals.problems;
    std::printf("FAILED %s --fault %s --at %llu (%s): %s; the run said: %s\n",
                scenario.name.c_str(), fault.name, static_cast<unsigned long long>(at),
                fault_op_name(op), problem.c_str(), error.c_str());
  }
  std::fflush(stdout);
}

void print_places(const std::string& name, const std::vector<std::uint8_t>& places) {
  std::printf("%s: %zu places:", name.c_str(), places.size());
  for (unsigned op = 0; op < op_count; ++op) {
    const auto count = std::count(places.begin(), places.end(), static_cast<std::uint8_t>(op));
    if (count > 0) std::printf(" %s %td", fault_op_name(op), count);
  }
  std::printf("\n");
  std::fflush(stdout);
}

int sweep(const Scenario& scenario, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  World world;
  prepare(world, scenario);
  if (!run_whole(world, scenario)) return 1;
  const fault_plan& plan = world.shared().plan;
  const std::vector<std::uint8_t> places(
      plan.ops, plan.ops + std::min<std::uint64_t>(plan.count, kFaultOpsMax));
  print_places(scenario.name, places);
  Totals totals;
  std::uint64_t shift = 0;
  for (const Fault& fault : kFaults) {
    ++shift;
    if (!options.fault.empty() && options.fault != fault.name) continue;
    std::uint64_t fitting = shift;
    for (std::uint64_t at = 1; at <= places.size(); ++at) {
      if (!fault.fits(places[at - 1])) continue;
      const bool chosen = options.at != 0 ? at == options.at : fitting % options.stride == 0;
      ++fitting;
      if (!chosen && fault.child == 0) continue;
      const unsigned children = fault.child == 0 ? 0 : kChildPlaces;
      for (unsigned child = std::min(1U, children); child <= children; ++child)
        break_once(world, scenario, fault, at, child, options, totals);
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%s: stride %llu, %d broken runs, %d ended before their place, %d problems, %.1f s\n",
              scenario.name.c_str(), static_cast<unsigned long long>(options.stride), totals.runs,
              totals.unreached, totals.problems, took.count());
  // A place may move by a few calls from run to run, not more.
  const bool reached = totals.unreached * 20 <= totals.runs + 20;
  return totals.problems == 0 && totals.runs > 0 && reached ? 0 : 1;
}

std::uint64_t number(const char* text) {
  std::uint64_t value = 0;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

int start(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool valued = i + 1 < argc;
    if (word == "--all")
      options.stride = 1;
    else if (word == "--verbose")
      options.verbose = true;
    else if (word == "--stride" && valued)
      options.stride = number(argv[++i]);
    else if (word == "--at" && valued)
      options.at = number(argv[++i]);
    else if (word == "--fault" && valued)
      options.fault = argv[++i];
    else
      options.scenario = word;
  }
  if (options.stride == 0) options.stride = 1;
  if (options.scenario == "kinds") return check_kinds();
  if (options.scenario == "load") return kill_under_load(kKillsUnderLoad);
  for (const Scenario& scenario : scenarios())
    if (scenario.name == options.scenario) return sweep(scenario, options);
  std::fprintf(stderr,
               "usage: crash_sweep SCENARIO|kinds|load [--all|--stride N] [--fault NAME]\n");
  return 2;
}

}  // namespace
}  // namespace taper::crash

int main(int argc, char** argv) { return taper::crash::start(argc, argv); }
