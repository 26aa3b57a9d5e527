// One simulated host: its clocks, its disk, and the process with the real store and authority.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/authority/authority.h"
#include "runtime/base/clock.h"
#include "store/audit_verify.h"
#include "store/store.h"
#include "tests/sim/centre.h"
#include "tests/sim/disk.h"

namespace taper::sim {

// All of a state's directory, as it was once.
struct Snapshot {
  std::shared_ptr<Image> image;
  Bytes marker, seed;
  std::uint64_t commit = 0, records = 0;
};

class Host {
 public:
  // In `folder`, one directory for each life of its store.
  Host(std::string folder, std::size_t number, Dice& dice, std::int64_t true_s);

  // Its clocks, where it has power.
  void pass(std::int64_t ms);
  void set_wall(std::int64_t wall_s) { clock_.step_wall_s(wall_s - clock_.now().wall_s); }
  Now now() const { return clock_.now(); }
  bool powered() const { return powered_; }

  // A new life of the store: another incarnation, in another directory.
  void renew();
  const Address& address() const { return address_; }
  std::uint64_t lives() const { return lives_; }

  // The process. `start` takes up what is there; error: why it does not.
  Status start();
  bool up() const { return authority_ != nullptr; }
  void stop();              // ended in good order
  void kill();              // kill -9
  std::size_t cut_power();  // how many files lost what was not synced
  void shut_down();         // stop, and off
  void power_on();          // another boot; the process is not started
  // Runs `work` on the authority with all the trouble there is. Where it killed the process, what
  // came of it was told to nobody: then this is false, and the process is gone.
  template <class Work>
  bool run(Work work) {
    disk().trouble = &trouble;
    work(*authority_);
    disk().trouble = nullptr;
    if (!trouble.killed) return true;
    kill();
    return false;
  }
  authority::Authority& authority() { return *authority_; }

  Snapshot snapshot() const;
  void put_back(const Snapshot& snapshot, bool image_alone);
  std::uint64_t marked_commit() const;
  Result<Bytes> export_log() const;
  store::LogTrust trust() const { return {address_.node, address_.incarnation, log_key_0_, {}}; }
  const std::string& directory() const { return directory_; }
  std::shared_ptr<Image> image() const { return disk().image(directory_); }

  Trouble trouble;

 private:
  authority::NodeFacts facts() const;
  std::string origin() const;

  std::string folder_, directory_;
  Dice& dice_;
  Address address_;
  PublicKey log_key_0_;
  std::uint64_t lives_ = 0, boots_ = 0;
  ManualClock clock_;
  bool powered_ = true;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<authority::Authority> authority_;
};

}  // namespace taper::sim
