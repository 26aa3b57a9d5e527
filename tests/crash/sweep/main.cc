// What this does to you: breaks whole runs of a node at every system call that changes its state,
// starts a process or maps a file, in every way listed below; some thousand short runs. Only its
// own files in /dev/shm and /tmp are touched.
//
// usage: crash_sweep SCENARIO [--all | --stride N] [--fault NAME] [--at N] [--verbose]
//        crash_sweep kinds     every kind of log record that the code writes is in some scenario
//        crash_sweep load      kills at random moments, one run after the other on one state
// Every fault is tried at every Nth place, another Nth for each fault; --all means every place.
#include <sys/wait.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

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

constexpr const char* kOutsideRuns = "reading";
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

// A whole run, to know its places. Empty when it fails by itself.
std::vector<std::uint8_t> places_of(World& world, const Scenario& scenario) {
  world.put_back();
  fault_plan& plan = world.shared().plan;
  arm(plan, kFaults[0], 0);
  const Ended ended = world.run([&] { return scenario.act(world); });
  if (ended.status != 0 || ended.left) {
    std::printf("FAILED %s: the whole run ended with %d: %s\n", scenario.name.c_str(), ended.status,
                world.shared().error);
    return {};
  }
  return {plan.ops, plan.ops + std::min<std::uint64_t>(plan.count, kFaultOpsMax)};
}

void prepare(World& world, const Scenario& scenario) {
  scenario.prepare(world);
  if (scenario.name != "birth") world.remember();
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
  const std::vector<std::uint8_t> places = places_of(world, scenario);
  if (places.empty()) return 1;
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

// The kinds of record that the code writes: those it names where it appends.
std::set<std::string> written_kinds() {
  namespace fs = std::filesystem;
  constexpr std::string_view kName = "LeafType::";
  std::vector<fs::path> sources = {fs::path(TAPER_SOURCE_DIR) / "store/log_state.cc"};
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(TAPER_SOURCE_DIR) / "runtime"))
    if (entry.path().extension() == ".cc") sources.push_back(entry.path());
  std::set<std::string> kinds;
  for (const fs::path& source : sources) {
    std::ifstream in(source);
    std::ostringstream text;
    text << in.rdbuf();
    const std::string all = text.str();
    for (std::size_t at = all.find(kName); at != std::string::npos; at = all.find(kName, at)) {
      at += kName.size();
      kinds.insert(all.substr(at, all.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at) - at));
    }
  }
  return kinds;
}

int check_kinds() {
  std::set<std::string> missing = written_kinds();
  // No run makes it: a reader's own verb does, in one transaction.
  if (missing.erase(kOutsideRuns) != 0) std::printf("not swept: %s\n", kOutsideRuns);
  if (missing.size() < 11) return 1;
  for (const Scenario& scenario : scenarios()) {
    World world;
    prepare(world, scenario);
    std::size_t before = 0;
    world.put_back();
    if (const auto told = world.told(); told.ok()) before = told->types.size();
    if (places_of(world, scenario).empty()) return 1;
    const auto told = world.told();
    if (!told.ok()) return 1;
    std::printf("%s:", scenario.name.c_str());
    for (std::size_t i = before; i < told->types.size(); ++i) {
      missing.erase(told->types[i]);
      std::printf(" %s", told->types[i].c_str());
    }
    std::printf("\n");
  }
  for (const std::string& kind : missing)
    std::printf("FAILED no run makes a record %s\n", kind.c_str());
  return missing.empty() ? 0 : 1;
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
