// A call's secrets: in its own cell, nowhere else, and gone with it.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "crypto/crypto.h"
#include "runtime/base/text.h"
#include "runtime/sandbox/wire.h"
#include "tests/support/permit_for_tests.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {
namespace {

using authority::CallSecret;
using testing::built_program;
using testing::command_facts;
using testing::launch_spawner;
using testing::permit_for_tests;
using testing::wait_reports;

// A random value that this process keeps only turned over, so that its own memory can be searched.
class Needle {
 public:
  explicit Needle(std::size_t size = 24) : turned_(size) {
    REQUIRE(crypto::initialise().ok());
    crypto::random_bytes(turned_);
    for (std::uint8_t& byte : turned_) byte = static_cast<std::uint8_t>(0x80 | ('a' + byte % 26));
  }
  CallSecret secret(const std::string& name) const {
    CallSecret out{name, crypto::Secret(turned_.size())};
    for (std::size_t i = 0; i < turned_.size(); ++i)
      out.value.bytes()[i] = static_cast<std::uint8_t>(turned_[i] ^ 0x80);
    return out;
  }
  std::vector<CallSecret> secrets(const std::string& name) const {
    std::vector<CallSecret> out;
    out.push_back(secret(name));
    return out;
  }
  std::string half(bool second) const {
    std::string out;
    const std::size_t middle = turned_.size() / 2;
    for (std::size_t i = second ? middle : 0; i < (second ? turned_.size() : middle); ++i)
      out += static_cast<char>(turned_[i] ^ 0x80);
    return out;
  }
  bool in(ByteSpan bytes) const {
    for (std::size_t at = 0; at + turned_.size() <= bytes.size(); ++at) {
      std::size_t same = 0;
      while (same < turned_.size() && bytes[at + same] == (turned_[same] ^ 0x80)) ++same;
      if (same == turned_.size()) return true;
    }
    return false;
  }
  // Where a process of this machine has it: its memory, environment, arguments, descriptors.
  std::string in_process(pid_t pid) const {
    const std::string proc = "/proc/" + std::to_string(pid);
    for (const char* file : {"/environ", "/cmdline"})
      if (in(as_bytes(testing::text_of(proc + file)))) return file;
    DIR* listing = ::opendir((proc + "/fd").c_str());
    if (listing == nullptr) return "cannot look";
    while (const dirent* entry = ::readdir(listing)) {
      const std::string link = proc + "/fd/" + entry->d_name;
      char target[256] = {};
      if (::readlink(link.c_str(), target, sizeof target - 1) <= 0) continue;
      if (std::string_view(target).starts_with("/memfd:secrets")) return target;
    }
    ::closedir(listing);
    return in_memory(proc);
  }

 private:
  std::string in_memory(const std::string& proc) const {
    std::ifstream maps(proc + "/maps");
    const Fd memory(::open((proc + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
    if (!memory) return "cannot look";
    for (std::string line; std::getline(maps, line);) {
      unsigned long begin = 0;
      unsigned long end = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx rw", &begin, &end) != 2) continue;
      if (line.find(" rw") == line.npos || end - begin > (256UL << 20)) continue;
      Bytes bytes(end - begin);
      const ssize_t count =
          ::pread(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(begin));
      const bool there = count > 0 && in(ByteSpan(bytes).first(static_cast<std::size_t>(count)));
      crypto::wipe(bytes);  // else the next look finds this copy
      if (there) return line;
    }
    return "";
  }
  Bytes turned_;
};

authority::PermitFacts seeker_facts(const Program& program, const Needle& needle,
                                    const std::string& seconds = "0") {
  return command_facts(
      program, {built_program("hostile_seeker"), needle.half(false), needle.half(true), seconds});
}

}  // namespace

TEST_CASE("a secret is one file of its call's cell and nothing else",
          "[sandbox][cell][R12][R20][R53]") {
  const Needle needle;
  const auto spawner = launch_spawner();
  const auto program = Program::load(built_program("hostile_seeker"));
  REQUIRE(program.ok());
  REQUIRE(
      spawner
          ->run(permit_for_tests(seeker_facts(*program, needle), needle.secrets("db")), &*program)
          .ok());
  const RunReport report = std::move(wait_reports(*spawner)[0]);
  INFO(to_line(report.error) << report.err);
  CHECK(report.end == RunEnd::done);
  CHECK(report.out == "file /run/secrets/db\nlooked\n");
}

TEST_CASE("calls at the same time never see each other's secrets", "[sandbox][cell][R20][R24]") {
  const Needle mine;
  const Needle other;
  const auto spawner = launch_spawner();
  const auto program = Program::load(built_program("hostile_seeker"));
  REQUIRE(program.ok());
  // Each has a secret of the same name and looks for the other's, for two seconds side by side.
  REQUIRE(
      spawner
          ->run(permit_for_tests(seeker_facts(*program, other, "1"), mine.secrets("db")), &*program)
          .ok());
  REQUIRE(
      spawner
          ->run(permit_for_tests(seeker_facts(*program, mine, "1"), other.secrets("db")), &*program)
          .ok());
  // Of the same task, without any.
  REQUIRE(spawner->run(permit_for_tests(seeker_facts(*program, mine)), &*program).ok());
  for (const RunReport& report : wait_reports(*spawner, 3)) {
    CHECK(report.end == RunEnd::done);
    CHECK(report.out == "looked\n");
  }
}

TEST_CASE("outside the cell a secret is nowhere while its call runs, nor after it",
          "[sandbox][cell][R12][R20]") {
  if (::geteuid() != 0) return;  // the memory of a process that cannot be dumped is root's to read
  const Needle needle;
  const auto spawner = launch_spawner();
  const auto program = Program::load("/bin/sleep");
  REQUIRE(program.ok());
  CHECK(needle.in_process(spawner->pid()).empty());
  {
    const std::vector<CallSecret> held = needle.secrets("db");
    CHECK_FALSE(needle.in_process(::getpid()).empty());  // it would be found
  }
  REQUIRE(spawner
              ->run(permit_for_tests(command_facts(*program, {"/bin/sleep", "1"}),
                                     needle.secrets("db")),
                    &*program)
              .ok());
  ::usleep(400'000);
  CHECK(needle.in_process(spawner->pid()).empty());
  CHECK(needle.in_process(::getpid()).empty());
  CHECK(wait_reports(*spawner)[0].end == RunEnd::done);
  CHECK(needle.in_process(spawner->pid()).empty());
  CHECK(needle.in_process(::getpid()).empty());
}

TEST_CASE("a secret cannot be changed, and only its owner may read it", "[sandbox][cell][R12]") {
  const Needle needle;
  const auto spawner = launch_spawner();
  const auto run = [&](const std::string& path, std::vector<std::string> words) {
    const auto program = Program::load(path);
    REQUIRE(program.ok());
    words.insert(words.begin(), path);
    REQUIRE(
        spawner
            ->run(permit_for_tests(command_facts(*program, words), needle.secrets("db")), &*program)
            .ok());
    return std::move(wait_reports(*spawner)[0]);
  };
  CHECK(run("/usr/bin/stat", {"-c", "%a %s %n", "/run/secrets/db"}).out ==
        "400 24 /run/secrets/db\n");
  CHECK(run(built_program("hostile_inspect"), {"write", "/run/secrets/db"}).out != "ok\n");
  CHECK(run(built_program("hostile_inspect"), {"write", "/run/secrets/new"}).out != "ok\n");
  CHECK(run("/usr/bin/find", {"/run/secrets"}).out == "/run/secrets\n/run/secrets/db\n");
}

TEST_CASE("the largest secrets fit, all of them", "[sandbox][cell]") {
  const auto spawner = launch_spawner();
  const auto program = Program::load("/usr/bin/wc");
  REQUIRE(program.ok());
  std::vector<CallSecret> secrets;
  for (std::size_t i = 0; i < limits::kSecretsMax; ++i)
    secrets.push_back({"s" + std::to_string(i), crypto::Secret(limits::kSecretBytesMax)});
  REQUIRE(
      spawner
          ->run(permit_for_tests(command_facts(*program, {"/usr/bin/wc", "-c", "/run/secrets/s0",
                                                          "/run/secrets/s15"}),
                                 std::move(secrets)),
                &*program)
          .ok());
  const RunReport report = std::move(wait_reports(*spawner)[0]);
  CHECK(report.out.find("16384 total") != std::string::npos);
}

TEST_CASE("a builtin is never given a secret", "[sandbox][R20][R24]") {
  const Needle needle;
  const auto spawner = launch_spawner();
  CHECK(spawner
            ->run(permit_for_tests(testing::builtin_facts("time.now", {}), needle.secrets("db")),
                  nullptr)
            .code() == Code::secret_unsealed);
}

TEST_CASE("orders name secrets plainly, and never for a builtin", "[sandbox]") {
  const auto decoded = [](const std::string& name, authority::ToolKind kind, std::uint32_t bytes) {
    CellOrder order;
    order.cell = 1;
    order.kind = kind;
    if (kind == authority::ToolKind::command) order.argv = {"/bin/true"};
    order.secrets = {{name, bytes}};
    return decode_order(encode_order(order)).code();
  };
  CHECK(decoded("db", authority::ToolKind::command, 1) == Code::ok);
  for (const std::string& name :
       {std::string(), std::string(".."), std::string(".x"), std::string("a/b"),
        std::string("a\0b", 3), std::string(limits::kSecretNameBytesMax + 1, 'x')})
    CHECK(decoded(name, authority::ToolKind::command, 1) == Code::message_malformed);
  CHECK(decoded("db", authority::ToolKind::command, limits::kSecretBytesMax + 1) ==
        Code::message_malformed);
  CHECK(decoded("db", authority::ToolKind::builtin, 1) == Code::message_malformed);
}

}  // namespace taper::sandbox
