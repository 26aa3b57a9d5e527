#include "runtime/sandbox/landlock.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <vector>

#include "runtime/base/file.h"

using namespace taper;
using namespace taper::sandbox;

namespace {

struct Folder {
  std::string path = "/tmp/taper-landlock-XXXXXX";
  Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const char* name) const { return path + "/" + name; }
};

void put(const std::string& path) { REQUIRE(replace_file(path, as_bytes("text"), 0755).ok()); }

bool opens(const std::string& path, int flags) {
  return Fd(::open(path.c_str(), flags | O_CLOEXEC, 0644)).get() >= 0;
}

// A bit for each check that failed, from a child that is bound by the rules.
int bound(const std::vector<LandlockRule>& rules, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!restrict_landlock(rules).ok()) ::_exit(99);
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

Fd path_fd(const std::string& path) { return Fd(::open(path.c_str(), O_PATH | O_CLOEXEC)); }

}  // namespace

TEST_CASE("each Landlock rule gives what it names and no more", "[sandbox]") {
  REQUIRE(landlock_abi() >= 4);
  const Folder folder;
  for (const char* name : {"read", "write", "other"}) {
    REQUIRE(::mkdir((folder / name).c_str(), 0755) == 0);
    put(folder / name + "/file");
  }
  put(folder / "single");
  put(folder / "single-write");
  const Fd read = path_fd(folder / "read"), write = path_fd(folder / "write"),
           single = path_fd(folder / "single"), single_write = path_fd(folder / "single-write"),
           null = path_fd("/dev/null");
  const std::vector<LandlockRule> rules{{read.get(), LandlockAccess::read_tree},
                                        {write.get(), LandlockAccess::write_tree},
                                        {single.get(), LandlockAccess::read_file},
                                        {single_write.get(), LandlockAccess::write_file},
                                        {null.get(), LandlockAccess::device}};
  CHECK(bound(rules, [&] {
          int wrong = 0;
          wrong |= opens(folder / "read/file", O_RDONLY) ? 0 : 1;
          wrong |= opens(folder / "write/new", O_RDWR | O_CREAT) ? 0 : 2;
          wrong |= opens(folder / "write/file", O_WRONLY | O_TRUNC) ? 0 : 4;
          wrong |= opens(folder / "single", O_RDONLY) ? 0 : 8;
          wrong |= opens(folder / "single-write", O_RDWR | O_TRUNC) ? 0 : 16;
          wrong |= opens("/dev/null", O_RDWR | O_TRUNC) ? 0 : 32;
          return wrong;
        }) == 0);
  CHECK(bound(rules, [&] {
          int wrong = 0;
          wrong |= opens(folder / "read/file", O_WRONLY) ? 1 : 0;
          wrong |= opens(folder / "other/file", O_RDONLY) ? 2 : 0;
          wrong |= opens(folder / "single", O_WRONLY) ? 4 : 0;
          wrong |= opens("/etc/passwd", O_RDONLY) ? 8 : 0;
          wrong |= ::mkfifo((folder / "write/pipe").c_str(), 0600) == 0 ? 16 : 0;
          wrong |= ::truncate((folder / "read/file").c_str(), 0) == 0 ? 32 : 0;
          wrong |= ::execl((folder / "write/file").c_str(), "file", nullptr) == 0 ? 64 : 0;
          return errno == EACCES ? wrong : 128;
        }) == 0);
}

TEST_CASE("Landlock leaves no TCP and no program", "[sandbox]") {
  CHECK(bound({}, [] {
          const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
          sockaddr_in address{};
          address.sin_family = AF_INET;
          address.sin_port = htons(9);
          address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
          if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ||
              errno != EACCES) {
            return 1;
          }
          ::execl("/bin/true", "true", nullptr);
          return errno == EACCES ? 0 : 2;
        }) == 0);
}

TEST_CASE("a rule on a closed descriptor is refused by name", "[sandbox]") {
  const Status status =
      restrict_landlock(std::vector<LandlockRule>{{-1, LandlockAccess::read_tree}});
  REQUIRE(!status.ok());
  CHECK(status.code() == Code::sandbox_setup);
  CHECK(status.error().detail().field == "landlock: add rule");
}
