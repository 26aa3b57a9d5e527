#include "store/lmdb/damage.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <csignal>
#include <cstdint>
#include <string_view>

#include "runtime/base/codes.h"

namespace taper::store {

struct MapRange {
  std::uintptr_t begin = 0, end = 0;
  MapRange* next = nullptr;
};

namespace {

// Read by the signal handler; changed only between signals, on the store's one thread.
std::atomic<MapRange*> ranges = nullptr;
std::atomic<int> inside = 0;
std::array<struct sigaction, 3> before{};
constexpr std::array kFaults = {SIGSEGV, SIGBUS, SIGABRT};

bool in_a_map(const void* address) {
  const auto at = std::bit_cast<std::uintptr_t>(address);
  for (const MapRange* range = ranges.load(); range != nullptr; range = range->next) {
    if (at >= range->begin && at < range->end) return true;
  }
  return false;
}

void fault(int signal, siginfo_t* info, void*) {
  if (inside.load() > 0 || (signal != SIGABRT && in_a_map(info->si_addr))) leave_for_damage();
  // Not ours: the handler before us gets it when it comes again, as it will.
  for (std::size_t i = 0; i < kFaults.size(); ++i)
    if (kFaults.at(i) == signal) ::sigaction(signal, &before.at(i), nullptr);
}

void handle_faults() {
  struct sigaction action{};
  action.sa_sigaction = fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (std::size_t i = 0; i < kFaults.size(); ++i)
    ::sigaction(kFaults.at(i), &action, &before.at(i));
}

void forget(MapRange* range) {
  MapRange* at = ranges.load();
  if (at == range) {
    ranges.store(range->next);
  } else {
    while (at->next != range) at = at->next;
    at->next = range->next;
  }
  delete range;
}

}  // namespace

void leave_for_damage() noexcept {
  constexpr std::string_view kLine =
      "taper: E802 store_corrupt: stored state does not verify; field data.mdb; expected whole "
      "pages; got one that is damaged or cut off; fix: keep a copy of it for inquiry and make "
      "a new state; what was exported before stays valid\n";
  const ssize_t written = ::write(STDERR_FILENO, kLine.data(), kLine.size());
  ::_exit(written < 0 ? 1 : exit_code(Code::store_corrupt));
}

InLmdb::InLmdb() { ++inside; }
InLmdb::~InLmdb() { --inside; }

MapWatch watch_for_damage(const void* begin, std::size_t size) {
  static const bool handled = (handle_faults(), true);
  static_cast<void>(handled);
  const auto at = std::bit_cast<std::uintptr_t>(begin);
  MapWatch watch(new MapRange{at, at + size, ranges.load()}, forget);
  ranges.store(watch.get());
  return watch;
}

}  // namespace taper::store
