// usage: hostile_escape NAME FOLDER SHARED HOST_PID
// Tries the escape NAME. Prints "OPEN why", "SHUT reason" or "CANNOT why"; exits 1, 0 or 2.
#include "tests/hostile/escapes/escape.h"

#include <string.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <map>

namespace escape {

Verdict open(std::string why) { return {Verdict::Kind::open, std::move(why)}; }
Verdict shut(std::string why) { return {Verdict::Kind::shut, std::move(why)}; }
Verdict cannot(std::string why) { return {Verdict::Kind::cannot, std::move(why)}; }

std::string errno_name(int error_number) {
  const char* name = ::strerrorname_np(error_number);
  return name != nullptr ? name : "errno " + std::to_string(error_number);
}

Verdict opened(long result) { return result >= 0 ? open("done") : shut(errno_name(errno)); }

Verdict reached(long result) {
  if (result >= 0) return open("done");
  if (errno == EPERM || errno == EACCES || errno == ENOSYS) return shut(errno_name(errno));
  return open("reached the kernel: " + errno_name(errno));
}

namespace {

const std::map<std::string, Verdict (*)(const Place&)> kEscapes = {
#define ESCAPE(number, name, control, reason) {#name, name},
#include "tests/hostile/escapes/escapes.def"
#undef ESCAPE
};

}  // namespace
}  // namespace escape

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const auto found = escape::kEscapes.find(argv[1]);
  if (found == escape::kEscapes.end()) return 2;
  const std::string folder = argv[2];
  escape::Place place{folder + "/work", folder + "/read", folder + "/secret", argv[3], 0};
  const std::string pid = argv[4];
  std::from_chars(pid.data(), pid.data() + pid.size(), place.host_pid);
  const escape::Verdict verdict = found->second(place);
  using Kind = escape::Verdict::Kind;
  const char* word = verdict.kind == Kind::open   ? "OPEN"
                     : verdict.kind == Kind::shut ? "SHUT"
                                                  : "CANNOT";
  std::printf("%s %s\n", word, verdict.why.c_str());
  return verdict.kind == Kind::open ? 1 : verdict.kind == Kind::shut ? 0 : 2;
}
