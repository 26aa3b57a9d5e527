// One history: a seed's hosts, their faults, and an independent count of what may happen. What the
// model knows of time it takes from the harness's own clock and from signed files alone.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/host.h"
#include "tests/sim/report.h"

namespace taper::sim {

// Why the model holds that something must be refused, or what was wrong.
struct Reason {
  Invariant invariant = Invariant::i1;
  Row row = Row::none;
  std::string what;
};

// A task as it is known from outside.
struct Known {
  std::size_t capsule = 0;
  std::int64_t from_ms = 0, idle_from_ms = 0;  // on Watched::metered_ms
  std::set<CallId> running;
  std::set<std::size_t> attached;          // chains, in this process
  std::optional<std::int64_t> least_left;  // of the lease, as the host told it
  bool over = false;                       // its end is known to be durable
};

// A challenge to the centre's time key that has no answer yet.
struct Asked {
  capsules::TimeChallenge challenge;
  std::int64_t true_s = 0;
};

// The log's first records, which the centre keeps: where a reader of them stands, and their hash.
struct Archived {
  store::LogPosition end;
  Hash sum;
};

// A host and what is known of it from outside.
struct Watched {
  Watched(const std::string& folder, std::size_t its_number, Dice& dice, std::int64_t true_s)
      : number(its_number), host(folder, its_number, dice, true_s) {}

  std::size_t number;
  Host host;
  // The time that a lease must have lost: while the process lives, and until it is back within one
  // boot. What a disk that failed could not be told is taken out again.
  std::int64_t metered_ms = 0, persisted_ms = 0;
  bool served = false;   // in this boot
  bool suspect = false;  // an error of the disk came up: an owner would start it anew
  // What signed files prove the time to be, carried on; and what of it a reboot leaves.
  std::int64_t floor_ms = 0, floor_kept_ms = 0;
  bool floor_kept = false;         // something of this boot is on the disk
  std::uint64_t root_version = 0;  // known to be there
  // Of this boot: when a challenge was answered, on the boot clock; and those that were not.
  std::optional<std::int64_t> anchored_boot_ms;
  std::vector<Asked> asked;
  // What may make its time run ahead of the true one: a wall clock that was, an answer that took
  // long.
  bool ahead = false;
  std::map<TaskId, Known> tasks;
  std::optional<Snapshot> snapshot;
  std::set<std::string> decisions;  // calls that were allowed, by the name of the decision
  std::uint64_t witnessed = 0;      // records that the centre has seen, and their hash
  Hash witnessed_hash;
  std::vector<Archived> archived;                  // of which an auditor's release was brought here
  std::vector<authority::ActivationRequest> used;  // with proofs that count no more
};

class History {
 public:
  struct Options {
    bool trace = false;  // tell each operation
    std::uint64_t tell_at_most = 0;
  };
  History(std::uint64_t seed, std::string folder, Report& report, Options options);
  void run();

 private:
  using Verdict = std::vector<Reason>;

  // history.cc: what happens next, and time.
  void operate();
  void one_of_many(Watched& w);
  void advance(std::int64_t ms, const Watched* asleep = nullptr);
  void duties(Watched& w);
  void bring_up(Watched& w);
  void after_start(Watched& w);
  static void keep_floor(Watched& w);
  void forget_unmetered(Watched& w);
  std::int64_t true_s() const { return true_ms_ / 1000; }

  // acts.cc: what people and agents do.
  void give_capsule(Watched& w);
  void give_old_capsule(Watched& w);
  void give_chain(Watched& w, std::size_t capsule, std::size_t chain);
  void attach(Watched& w);
  void join(Watched& w);
  void replay_proof(Watched& w);
  void give_root(Watched& w);
  void publish();
  void give_time(Watched& w);
  void ask_time(Watched& w);
  bool import_time(Watched& w, const Told& told);
  bool set_by_answer(Watched& w);
  void call(Watched& w);
  void settle(Watched& w);
  void end(Watched& w);
  bool fresh(Watched& w, Invariant invariant);
  bool call_once(Watched& w, const TaskId& task, std::size_t chain, const std::string& tool,
                 const std::string& path);
  void activated(Watched& w, std::size_t capsule, std::size_t chain,
                 const authority::Activation& made);
  void allowed(Watched& w, const TaskId& task, std::size_t chain, const std::string& tool,
               const authority::Allowed& made);
  bool end_task(Watched& w, const TaskId& task, authority::EndReason reason,
                const authority::EndedBy& by = {});
  authority::ActivationRequest request_for(Watched& w, const Issued& issued, const Chain& chain);

  // faults.cc: what befalls a host.
  void step_clock(Watched& w);
  void suit_clock(Watched& w);
  void set_wall(Watched& w, std::int64_t wall_s);
  void suspend(Watched& w);
  void go_down(Watched& w);
  void trouble_disk(Watched& w);
  void roll_back(Watched& w);
  void roll_back_image(Watched& w);
  void roll_back_directory(Watched& w);
  void renew(Watched& w);
  void repair(Watched& w);
  void count_trouble(Watched& w);
  // Whether it was the disk's.
  bool storage_error(Watched& w, const Error& error);

  // archive.cc: what the centre does with logs, and orders of its own.
  void witness(Watched& w);
  static store::LogTrust trust(const Watched& w, ByteSpan log);
  void release(Watched& w, ByteSpan log, const store::VerifiedLog& whole);
  void prune(Watched& w);
  void give_order(Watched& w);

  // judge.cc: what the model says.
  Verdict against_time(const Watched& w, const Issued& issued, const Chain& chain) const;
  Verdict against_activation(const Watched& w, std::size_t capsule, std::size_t chain) const;
  Verdict against_call(const Watched& w, const Known& known, std::size_t chain,
                       const std::string& tool, const std::string& path) const;
  void against_budget(const Watched& w, const Issued& issued, const Chain& chain,
                      const std::string& tool, Verdict& out) const;
  // Counts them as checks; where it was let through all the same, as violations too.
  void hold(const Watched& w, const Verdict& verdict, bool let_through, const std::string& what);
  void check(Invariant invariant, bool holds, const std::string& what, Row row = Row::none);
  void check_lease(Watched& w, const TaskId& task, std::size_t chain);
  bool in_log(const Watched& w, const DecisionId& decision) const;
  bool healthy(const Watched& w) const;
  bool anchored(const Watched& w) const;
  bool right_clock(const Watched& w) const;
  bool is_ahead(const Watched& w) const;

  void fault(const std::string& kind, std::uint64_t count = 1);
  void tell(const std::string& what) const;
  Watched& any() { return hosts_[dice_.below(hosts_.size())]; }

  std::uint64_t seed_;
  Report& report_;
  Options options_;
  Dice dice_;
  std::int64_t true_ms_;
  Centre centre_;
  std::deque<Watched> hosts_;
  authority::Tools tools_;
  std::uint64_t number_ = 0;  // of the operation
  std::set<std::string> kinds_;
  std::array<bool, kRows> rows_{};
  std::uint64_t told_ = 0;
};

}  // namespace taper::sim
