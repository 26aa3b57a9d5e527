// Can this host run cells? Found out by doing: throw-away cells are started.
#pragma once

#include <string>
#include <vector>

namespace taper::sandbox {

enum class Health : unsigned char { ok, warn, fail };

struct Check {
  std::string name;  // "landlock", "user namespace", …
  Health health = Health::fail;
  std::string detail;  // what was found
  std::string fix;     // one line, where not ok
};

struct ProbeReport {
  std::vector<Check> checks;
  int tier = 0;              // 0: no tool runs; 2; 3
  std::string next_blocker;  // what keeps the host from the next tier
  double spawn_ms = 0;       // whole life of a cell running /bin/true, mean of several
};

ProbeReport probe(const std::string& spawnd_path);

}  // namespace taper::sandbox
