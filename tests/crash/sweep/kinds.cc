#include "tests/crash/sweep/kinds.h"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "tests/crash/sweep/scenario.h"

namespace taper::crash {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLeastKinds = 11;
constexpr std::size_t kLeastSites = 12;

// The functions that every commit goes through, as the linker names them.
constexpr std::array<std::string_view, 2> kCommits = {
    "<_ZN5taper9authority9Authority5State6commitERKNS_3NowERKSt8function",
    "<_ZN5taper5store5Store5writeERKSt8function"};

// The kinds of record that the code writes: those it names where it appends.
std::set<std::string> written_kinds() {
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

std::string readable(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
  const std::string whole = status == 0 ? text.get() : name;
  return whole.substr(0, whole.find('('));
}

using Sites = std::map<std::uint64_t, std::string>;  // return address: function it lies in

// The places that commit, read from this program's own machine code. What stands before and after
// them is the disassembler's: "0000000000001234 <name>:" and "  1234:	call   5678 <name>".
Sites commit_sites() {
  const std::string self = fs::read_symlink("/proc/self/exe");
  const std::string command = "objdump -d --no-show-raw-insn '" + self + "'";
  Sites sites;
  FILE* out = ::popen(command.c_str(), "r");
  if (out == nullptr) return sites;
  std::string function;
  bool called = false;
  char* line = nullptr;
  std::size_t size = 0;
  while (::getline(&line, &size, out) > 0) {
    const std::string_view text(line);
    if (text.ends_with(">:\n")) {
      const std::size_t begin = text.find('<') + 1;
      function = text.substr(begin, text.size() - begin - 3);
      continue;
    }
    const std::size_t colon = text.find(":\t");
    if (colon == std::string_view::npos) continue;
    if (std::exchange(called, false)) {
      std::uint64_t address = 0;
      const std::size_t digits = text.find_first_not_of(' ');
      std::from_chars(line + digits, line + colon, address, 16);
      sites[address] = readable(function);
    }
    called = text.find("call ", colon) != std::string_view::npos &&
             std::any_of(kCommits.begin(), kCommits.end(), [&](std::string_view name) {
               return text.find(name, colon) != std::string_view::npos &&
                      text.find("::", colon) == std::string_view::npos;
             });
  }
  std::free(line);
  if (::pclose(out) != 0) sites.clear();
  // The tests' own are not what is tested.
  std::erase_if(sites, [](const auto& site) { return site.second.starts_with("taper::crash::"); });
  return sites;
}

}  // namespace

int check_kinds() {
  std::set<std::string> kinds = written_kinds();
  Sites sites = commit_sites();
  std::printf("%zu kinds of record, %zu places that commit\n", kinds.size(), sites.size());
  if (kinds.size() < kLeastKinds || sites.size() < kLeastSites) return 1;
  for (const Scenario& scenario : scenarios()) {
    World world;
    prepare(world, scenario);
    std::size_t before = 0;
    world.put_back();
    if (const auto told = world.told(); told.ok()) before = told->types.size();
    fault_plan& plan = world.shared().plan;
    plan.trace = 1;
    plan.frame_count = 0;
    if (!run_whole(world, scenario)) return 1;
    for (std::uint32_t i = 0; i < plan.frame_count; ++i) sites.erase(plan.frames[i]);
    const auto told = world.told();
    if (!told.ok()) return 1;
    std::printf("%s:", scenario.name.c_str());
    for (std::size_t i = before; i < told->types.size(); ++i) {
      kinds.erase(told->types[i]);
      std::printf(" %s", told->types[i].c_str());
    }
    std::printf("\n");
  }
  for (const std::string& kind : kinds)
    std::printf("FAILED no run makes a record %s\n", kind.c_str());
  for (const auto& [address, function] : sites)
    std::printf("FAILED no run commits in %s\n", function.c_str());
  return kinds.empty() && sites.empty() ? 0 : 1;
}

}  // namespace taper::crash
