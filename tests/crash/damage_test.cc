// What this does to a node: damages its database, one page at a time and in four ways, under every
// command that opens it. A command may work, or refuse with a number; of a signal it may only die
// where a page lies about its own sizes, which LMDB believes when it moves what lies on it.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <random>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

namespace fs = std::filesystem;
using testing::ChildProcess;
using testing::NodeForTests;
using testing::plan_step;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPageHeader = 16;
constexpr std::size_t kFileMax = 64 * 1024 * 1024;
constexpr std::size_t kStride = 3;  // every third page, each in all ways
constexpr int kRunsBefore = 3;
constexpr int kWaitMs = 20'000;

enum class Damage { zeroes, ones, header, bits, count_ };

void damage(Bytes& file, std::size_t page, Damage how, std::mt19937& random) {
  const auto begin = file.begin() + static_cast<std::ptrdiff_t>(page * kPage);
  const auto flip = [&](std::size_t within) {
    begin[static_cast<std::ptrdiff_t>(random() % within)] ^=
        static_cast<std::uint8_t>(1U << random() % 8);
  };
  switch (how) {
    case Damage::zeroes: std::fill_n(begin, kPage, 0); break;
    case Damage::ones: std::fill_n(begin, kPage, 0xFF); break;
    case Damage::header: flip(kPageHeader); break;
    case Damage::bits:
      for (int i = 0; i < 8; ++i) flip(kPage);
      break;
    case Damage::count_: break;
  }
}

// A state whose tables have some pages each.
std::string used_node(NodeForTests& node) {
  std::string live;
  for (int i = 0; i <= kRunsBefore; ++i) {
    capsules::Capsule capsule = node.capsule();
    capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
    for (int step = 0; step < 8; ++step)
      capsule.plan.steps.push_back(plan_step("s" + std::to_string(step), "file.read",
                                             R"({"path":")" + node.data() + "/x\"}", {},
                                             capsules::OnError::carry_on));
    live = node.sign(capsule);
    // The last one waits for the damage.
    if (i < kRunsBefore) REQUIRE(run(node.options(live)).ok());
  }
  return live;
}

// Whatever else happens: 0..1 by itself, 4 as the store's last words.
int outcome_of(const std::function<void()>& command) {
  ChildProcess child([&] {
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    command();
    return 0;
  });
  for (int waited = 0; child.running() && waited < kWaitMs; waited += 2) testing::pause_ms(2);
  return child.running() ? -1 : child.wait();
}

bool ended_well(int outcome, Damage how) {
  constexpr int kBySignal = 128;
  const bool fault = outcome == kBySignal + SIGSEGV || outcome == kBySignal + SIGBUS ||
                     outcome == kBySignal + SIGABRT;
  return outcome == 0 || outcome == 4 || (how == Damage::header && fault);
}

void read_all(const NodeForTests& node) {
  const auto tasks = task_list(node.state());
  for (std::size_t i = 0; tasks.ok() && i < tasks->size(); ++i) {
    const auto shown = task_show(node.state(), (*tasks)[i].task);
    for (std::size_t c = 0; shown.ok() && c < shown->calls.size(); ++c)
      (void)why(node.state(), shown->calls[c].decision);
  }
  (void)audit_export(node.state(), std::nullopt);
}

std::size_t used_pages(const Bytes& file) {
  std::size_t used = file.size();
  while (used > 0 && file[used - 1] == 0) --used;
  return (used + kPage - 1) / kPage;
}

TEST_CASE("a damaged page is refused with a number", "[store][crash][R50]") {
  NodeForTests node("/dev/shm");
  node.write("x", "y");
  const std::string capsule = used_node(node);
  const std::string path = node.state() + "/data.mdb";
  const std::string kept = node.state() + ".kept";
  fs::remove(node.state() + "/control.sock");
  fs::copy(node.state(), kept, fs::copy_options::recursive);
  const Bytes whole = read_file(path, kFileMax).value();
  const std::size_t pages = used_pages(whole);
  REQUIRE(pages > 20);
  std::mt19937 random(20261121);  // NOLINT: the same damage every time
  int by_last_words = 0;
  const auto damage_every = [&](std::size_t first) {
    for (std::size_t page = first; page < pages; page += kStride) {
      for (int how = 0; how < static_cast<int>(Damage::count_); ++how) {
        INFO("page " << page << " of " << pages << ", way " << how);
        Bytes damaged = whole;
        damage(damaged, page, static_cast<Damage>(how), random);
        fs::remove_all(node.state());
        fs::copy(kept, node.state(), fs::copy_options::recursive);
        REQUIRE(replace_file(path, damaged, 0600).ok());
        const int reading = outcome_of([&] { read_all(node); });
        INFO("reading " << reading);
        CHECK(ended_well(reading, static_cast<Damage>(how)));
        const int running = outcome_of([&] { (void)run(node.options(capsule)); });
        INFO("run " << running);
        CHECK(ended_well(running, static_cast<Damage>(how)));
        by_last_words += (reading == 4 ? 1 : 0) + (running == 4 ? 1 : 0);
      }
    }
  };
  // Which pages end in the last words is chance: where none of a third did, another third is tried.
  for (std::size_t first = 0; first < kStride && by_last_words == 0; ++first) damage_every(first);
  INFO("said by the store's last words: " << by_last_words);
  CHECK(by_last_words > 0);
}

TEST_CASE("a page that goes while its value is read ends in the store's last words",
          "[store][crash]") {
  NodeForTests node("/dev/shm");
  node.write("x", "y");
  (void)used_node(node);
  const int ended = outcome_of([&node] {
    const auto opened = store::open_state({.directory = node.state(),
                                           .origin = authority::log_origin(node.record()),
                                           .read_only = true});
    if (!opened.ok()) return;
    (void)(*opened)->read([&node](const store::ReadTxn& txn) -> Status {
      ByteSpan value;
      TAPER_CHECK(txn.scan(store::Table::capsules, {}, [&value](ByteSpan, ByteSpan found) {
        value = found;
        return false;
      }));
      if (value.empty() || ::truncate((node.state() + "/data.mdb").c_str(), 0) != 0)
        return success();
      // Read by our own code, not by LMDB's.
      [[maybe_unused]] const volatile std::uint8_t first = *value.data();
      return success();
    });
  });
  CHECK(ended == 4);
}

}  // namespace
}  // namespace taper::broker
