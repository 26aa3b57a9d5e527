// Private: LMDB believes its pages. Where one is damaged or cut off, LMDB may assert or reach a
// place of its map that the file does not back; nothing can be mended there, so the process says
// store_corrupt in the contract's words and leaves with that code's exit status.
#pragma once

#include <cstddef>
#include <memory>

namespace taper::store {

[[noreturn]] void leave_for_damage() noexcept;

// While one lives, LMDB works on its pages, and any fault of the process is theirs.
class InLmdb {
 public:
  InLmdb();
  ~InLmdb();
  InLmdb(const InLmdb&) = delete;
  InLmdb& operator=(const InLmdb&) = delete;
};

struct MapRange;
// While it lives, SIGSEGV and SIGBUS in the range end in leave_for_damage(); all others go to
// whoever handled them before.
using MapWatch = std::shared_ptr<MapRange>;
MapWatch watch_for_damage(const void* begin, std::size_t size);

}  // namespace taper::store
