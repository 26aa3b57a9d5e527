// kill -9 of a writer at any moment. What it can do to you: end between the commit and the marker,
// between the marker and the seed, or in the middle of any of them.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <random>

#include "runtime/base/limits.h"
#include "store/audit_export.h"
#include "tests/support/state_for_tests.h"

namespace taper::store {
namespace {

using taper::testing::DiskState;

// Counts up until killed; each number that is durable goes into the pipe.
[[noreturn]] void write_until_killed(const StateOptions& options, int out) {
  const auto store = open_state(options);
  if (!store.ok()) ::_exit(1);
  for (;;) {
    const Result<Committed> committed = store.value()->write([](WriteTxn& txn) -> Status {
      TAPER_TRY(const std::uint64_t number, txn.append(LeafType::decision, R"({"n":1})"));
      return txn.put_new(Table::decisions, big_endian(number), as_bytes("done"));
    });
    if (!committed.ok()) ::_exit(2);
    const std::uint64_t size = committed->log_size();
    if (::write(out, &size, sizeof size) != sizeof size) ::_exit(3);
  }
}

// The last log size that the writer reported, having run for `us` microseconds after its first.
std::uint64_t run_writer(const StateOptions& options, unsigned us) {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    write_until_killed(options, pipe[1]);
  }
  ::close(pipe[1]);
  std::uint64_t size = 0;
  REQUIRE(::read(pipe[0], &size, sizeof size) == sizeof size);
  ::usleep(us);
  ::kill(child, SIGKILL);
  std::uint64_t next = 0;
  while (::read(pipe[0], &next, sizeof next) == sizeof next) size = next;
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  return size;
}

}  // namespace

TEST_CASE("nothing that was reported durable is lost to kill -9", "[store][R50]") {
  const DiskState state;
  std::mt19937 random(20261121);  // NOLINT: the same history every time
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t reported = run_writer(state.options(false), random() % 20'000U);
    std::uint64_t decisions = 0;
    {
      const auto store = state.open();
      const LogHead head = store->log_head().value();
      CHECK(head.size >= reported);
      CHECK(store
                ->read([&](const ReadTxn& txn) {
                  return txn.scan(Table::decisions, {}, [&](ByteSpan, ByteSpan) {
                    ++decisions;
                    return true;
                  });
                })
                .ok());
    }
    const Result<Bytes> file =
        export_log(state.path(), state.identity.state().origin, std::nullopt);
    REQUIRE(file.ok());
    const Result<VerifiedLog> verified = verify_log(*file, state.identity.trust());
    INFO((verified.ok() ? std::string() : to_line(verified.error())));
    REQUIRE(verified.ok());
    // Every decision has its record and the other way round.
    std::uint64_t recorded = 0;
    REQUIRE(read_log(*file, [&](const LogRecord& record) {
              recorded += record.type_name == "decision" ? 1U : 0U;
            }).ok());
    CHECK(recorded == decisions);
  }
}

}  // namespace taper::store
