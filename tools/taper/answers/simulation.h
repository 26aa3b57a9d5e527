// What a capsule would answer to calls that were made, or are thought of, one after the other in a
// fresh task of it. The rules of arguments and grants are asked of capsules/, budgets of the
// authority's own sums. What cannot be known is unknown, never allowed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "capsules/author/author.h"
#include "capsules/author/lineage.h"
#include "runtime/broker/embedded.h"

namespace taper::tools {

enum class Judged : std::uint8_t { unknown, allow, deny };
std::string_view word(Judged judged);

struct Judgement {
  Judged judged = Judged::unknown;
  std::string question;  // the first that is not answered with yes; empty where allowed
  std::string why;       // what was expected and what there was, or what is not known
  Code code = Code::ok;  // of a denial
  std::string grant;     // of the root block; empty where none was chosen
};

// How a call went, as far as it is told.
struct CallOutcome {
  bool done = false;
  bool never_ran = false;  // its cell was refused: the call and its sum go back
  std::optional<std::uint64_t> result_bytes, cpu_ms;
};

struct SimulatedCall {
  std::string tool;
  capsules::Verb verb = capsules::Verb::call;
  std::optional<std::string> arguments;  // JSON; empty: not known
  std::optional<Now> at;                 // the boot clock then; empty: not known
};

// One fresh task. Supposed, and for the reader to know: its holder proves himself, its node has the
// tools given and no policy of its own that refuses any, its news is fresh, it is activated within
// its window, and it is not ended for idleness, by its operator or by its log quota.
class Simulation {
 public:
  // Both must outlive it.
  Simulation(const capsules::UntrustedCapsule& capsule, const capsules::KnownTools& tools);

  // The lease runs from here.
  void begin(const Now& at) { begun_ = at; }
  // The number of a call is how many were judged before it.
  Judgement judge(const SimulatedCall& call);
  void settle(std::size_t number, const CallOutcome& outcome);

 private:
  // What is spent for certain, and what may be.
  struct Counter {
    authority::Spent least, most;
  };
  struct Made {
    std::vector<std::size_t> line;        // the grant at each level; empty: not allowed
    authority::Charge charge;             // bytes and time at most
    std::vector<authority::Charge> sums;  // the same at each level, with what it added up
    bool settled = false;
  };
  using Arguments = capsules::Object;

  Judgement judge_live(const SimulatedCall& call) const;
  Judgement judge_call(const SimulatedCall& call);
  Judgement judge_route(const SimulatedCall& call, const capsules::KnownTool& tool,
                        const Arguments& arguments, const capsules::Explanation& path);
  Judgement judge_history(const std::vector<std::size_t>& line, const Arguments& arguments,
                          const std::optional<Now>& at);
  Judgement judge_id(const capsules::Grant& grant, const Arguments& arguments) const;
  Judgement judge_labels(const std::vector<std::size_t>& line) const;
  Judgement judge_after(const capsules::Grant& grant) const;
  Judgement judge_budget(std::size_t level, std::size_t grant, const Arguments& arguments,
                         const std::optional<Now>& at);
  bool may_be_granted(const SimulatedCall& call) const;
  void charge(const std::vector<std::size_t>& line, const Arguments& arguments,
              const std::optional<Now>& at);
  void charge_perhaps(const std::string& tool);

  const capsules::UntrustedCapsule& capsule_;
  const capsules::KnownTools& tools_;
  capsules::Lineage lineage_;
  std::optional<Now> begun_;
  std::map<std::pair<std::size_t, std::size_t>, Counter> counters_;  // by level and grant
  std::set<std::string, std::less<>> labels_, perhaps_labels_;
  std::set<std::size_t> done_, perhaps_done_;  // grants of the root block
  std::map<std::string, std::size_t> ids_;     // grant and id, to the call that bore it
  std::set<std::size_t> perhaps_ids_;          // grants that calls with unknown ids may have used
  std::vector<Made> made_;
  std::int64_t denials_ = 0, perhaps_denials_ = 0;
  std::string ended_;  // why, and by which call; empty: it lives
};

}  // namespace taper::tools
