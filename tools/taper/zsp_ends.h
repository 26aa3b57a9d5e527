// The ends that zsp-check brings about: one capsule for each, whose plan acts once, meets its end,
// and would act again.
#pragma once

#include <string>
#include <vector>

#include "tools/taper/zsp_bench.h"

namespace taper::tools {

struct EndCase {
  std::string name;
  std::string terms;          // lines of [capsule]
  std::int64_t acts = 5;      // the budget of the grant "act"
  std::string middle;         // the step between, as TOML; empty: the plan ends after the first
  std::string state, reason;  // what must come of it
  std::int64_t again = 408;   // the number with which another run is refused

  bool has_next_step() const { return !middle.empty(); }
};
std::vector<EndCase> end_cases();
// One that would complete, or with `middle` "slow" stay in its first call.
EndCase plain_case(const std::string& name, const std::string& middle = "");

std::string source_of(const EndCase& end, const ZspBench& bench, const std::string& reader);

}  // namespace taper::tools
