// A node whose state lies in memory and is put back as it was before each run, what a run does to
// it, and the counts of effects that no store knows of.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/crash/sweep/fault_shim.h"
#include "tests/support/node_for_tests.h"

namespace taper::crash {

inline constexpr int kWrites = 5;     // steps that append one line each
inline constexpr int kStopAfter = 3;  // reported steps, in the scenarios that stop or break off
inline constexpr unsigned kReports = 64;

// In memory that a run and its watcher share.
struct Shared {
  fault_plan plan;
  char error[512];           // of the run, one line
  std::uint32_t next;        // capsule, of many
  std::uint32_t reported;    // steps whose result was released
  char steps[kReports][16];  // their names
};

struct Ended {
  int status = 0;     // of waitpid
  bool left = false;  // a process outlived the run and would not end
  bool hung = false;  // the run did not end by itself
};

// What the log says, in its order.
struct Told {
  std::vector<std::string> types;            // of each record
  std::map<std::string, int> allowed, done;  // by step: decisions, and outcomes "done"
  std::map<std::string, int> read;           // by step: reads of its result that were allowed
  std::size_t attached = 0;                  // chains that activated a task or joined one
  int erased = 0;                            // tasks whose results were forgotten
  std::set<std::string> cancelled;           // calls of which a cancel was allowed
  int undone = 0;                            // such calls with another outcome than killed
  std::map<std::string, int> answered;       // by call and digest: updates, less what went on
  int unanswered = 0;                        // calls that went on without one
};

class World {
 public:
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  testing::NodeForTests& node() { return node_; }
  const std::string& state() const { return node_.state(); }
  const std::string& capsule() const { return capsule_; }
  void use(const capsules::Capsule& capsule) { capsule_ = node_.sign(capsule); }
  std::string effects_file() const;  // that the writes append to
  std::string archive_file() const;  // what is below the release of the log
  Shared& shared() const { return *shared_; }

  void remember();      // the state as it is now is where each run begins
  void forget_state();  // each run begins with no state at all
  void put_back();      // state and effects
  // `work` in a process of its own, armed with the plan in shared(); returns when it and all that
  // it started are gone.
  // With `kill_after_us` it is killed then, wherever it stands.
  Ended run(const std::function<Status()>& work, std::optional<unsigned> kill_after_us = {});
  std::vector<std::string> effects() const;  // lines of the file that the writes append to
  // Errors: those of reading and verifying.
  Result<Told> told() const;
  broker::RunOptions options(const std::string& capsule);  // notes what it reports

 private:
  testing::NodeForTests node_;
  std::string kept_;
  std::string capsule_;
  Shared* shared_;
};

// Four kinds of step: writes with a budget, a read, a denied call and one that fails. Each write
// appends its own name, which begins with `prefix`.
capsules::Capsule sample_plan(testing::NodeForTests& node, const std::string& prefix = "");

}  // namespace taper::crash
