// The disks of the simulated hosts, and what goes wrong with them. What LMDB does is done in memory
// here (open_lmdb_engine is defined in disk.cc and linked in its place); marker, lock and log.seed
// are real files, whose writes and syncs pass through here too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "store/engine.h"
#include "tests/sim/dice.h"

namespace taper::sim {

// What befalls the process that is at work. Each write to the disk is a step.
struct Trouble {
  enum class Space : std::uint8_t { plenty, reserve_alone, none };
  std::int64_t kill_in = 0;     // killed at this step from now; 0: it lives
  std::int64_t fail_in = 0;     // EIO at this step from now …
  std::int64_t fail_count = 0;  // … and at so many in all
  Space space = Space::plenty;
  bool killed = false;  // nothing it does from now on reaches anything
  // What came of it, since last asked.
  std::uint64_t kills = 0, errors = 0, full = 0;

  enum class Step : std::uint8_t { works, fails, dies };
  Step step();
  bool quiet() const { return kill_in == 0 && fail_count == 0 && space == Space::plenty; }
};

// The data.mdb of one directory.
class Image {
 public:
  Image() : engine(store::make_memory_engine()) {}
  std::shared_ptr<Image> copy() const;
  std::uint64_t commit() const;  // the number of its last
  std::unique_ptr<store::Engine> engine;
};

class Disk {
 public:
  std::shared_ptr<Image>& image(const std::string& directory) { return images_[directory]; }
  void forget();  // everything
  // Files of `directory` written and never synced fall back, each or not as the dice fall. Gives
  // how many did.
  std::size_t drop_unsynced(const std::string& directory, Dice& dice);

  // For the calls that stand in for libc's.
  void about_to_write(int fd);
  void synced(int fd);

  Trouble* trouble = nullptr;  // of the process at work; null: none
  Dice* dice = nullptr;        // for what may come out either way

 private:
  std::map<std::string, std::shared_ptr<Image>> images_;
  using FileId = std::pair<std::uint64_t, std::uint64_t>;
  static FileId id_of(int fd);
  struct Unsynced {
    std::string path;
    Bytes before;  // what was last synced
  };
  std::map<FileId, Unsynced> unsynced_;
};

Disk& disk();

}  // namespace taper::sim
