#include "runtime/base/clock.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <sstream>
#include <string>

#include "runtime/base/assert.h"
#include "runtime/base/boot_id.h"
#include "runtime/base/file.h"

namespace taper {
namespace {

timespec read_clock(clockid_t id) {
  timespec value{};
  TAPER_ASSERT(::clock_gettime(id, &value) == 0);
  return value;
}

constexpr const char* kOffsetsFile = "/proc/self/timens_offsets";
constexpr std::size_t kOffsetsBytesMax = 4096;

BootId read_boot_id() {
  const int file = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::array<char, 64> buffer{};
  const ssize_t count = ::read(file, buffer.data(), buffer.size());
  ::close(file);
  std::string text(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  std::erase_if(text, [](char c) { return c == '-' || c == '\n'; });
  return BootId::from_hex(text).value_or(BootId{});
}

}  // namespace

SystemClock::SystemClock() : boot_id_(read_boot_id()) {
  const Result<Bytes> offsets = read_file(kOffsetsFile, kOffsetsBytesMax);
  if (offsets.ok()) boot_id_ = boot_within(boot_id_, as_text(*offsets));
}

Now SystemClock::now() const {
  const timespec boot = read_clock(CLOCK_BOOTTIME);
  const timespec wall = read_clock(CLOCK_REALTIME);
  return {static_cast<std::int64_t>(boot.tv_sec) * 1000 + boot.tv_nsec / 1'000'000,
          static_cast<std::int64_t>(wall.tv_sec), boot_id_};
}

std::int64_t wall_clock_s() { return static_cast<std::int64_t>(read_clock(CLOCK_REALTIME).tv_sec); }

bool is_unshifted(std::string_view timens_offsets) {
  std::istringstream lines{std::string(timens_offsets)};
  std::string clock, seconds, nanoseconds;
  bool any = false;
  while (lines >> clock) {
    if (!(lines >> seconds >> nanoseconds)) return false;
    if (seconds != "0" || nanoseconds != "0") return false;
    any = true;
  }
  return any;
}

BootId boot_within(BootId host, std::string_view timens_offsets) {
  std::istringstream lines{std::string(timens_offsets)};
  std::string clock;
  std::array<std::int64_t, 2> by{};  // seconds, nanoseconds
  while (lines >> clock >> by[0] >> by[1]) {
    if (clock != "boottime") continue;
    const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof(by)>>(by);
    for (std::size_t i = 0; i < host.bytes.size(); ++i) host.bytes[i] ^= bytes[i];
  }
  return host;
}

Status check_boot_clock() {
  const auto shifted = [](std::string got) {
    return Error(Code::boot_clock_shifted, {"time namespace", "no offset", std::move(got), ""});
  };
  const Result<Bytes> offsets = read_file(kOffsetsFile, kOffsetsBytesMax);
  // A kernel without time namespaces has neither file.
  std::array<char, 64> own{}, next{};
  const ssize_t own_size = ::readlink("/proc/self/ns/time", own.data(), own.size());
  if (!offsets.ok() && offsets.code() == Code::file_missing && own_size < 0 && errno == ENOENT)
    return success();
  if (!offsets.ok()) return shifted("offsets that cannot be read");
  // The offsets are those of the namespace that children will have; it must be this one.
  const ssize_t next_size = ::readlink("/proc/self/ns/time_for_children", next.data(), next.size());
  if (own_size <= 0 || own_size != next_size) return shifted("a namespace that cannot be told");
  if (own != next) return shifted("another namespace for children");
  return is_unshifted(as_text(*offsets)) ? success()
                                         : Status(shifted(std::string(as_text(*offsets))));
}

void ManualClock::advance_ms(std::int64_t ms) {
  now_.boot_ms += ms;
  wall_rest_ms_ += ms;
  now_.wall_s += wall_rest_ms_ / 1000;
  wall_rest_ms_ %= 1000;
}

void ManualClock::reboot(BootId boot_id) {
  now_.boot_id = boot_id;
  now_.boot_ms = 0;
}

}  // namespace taper
