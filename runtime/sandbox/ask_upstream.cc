#include "runtime/sandbox/ask_upstream.h"

#include <poll.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/sandbox/spawner_state.h"

namespace taper::sandbox {
namespace {

Status add_trees(const std::vector<std::string>& paths, bool program,
                 std::vector<authority::GrantedTree>& trees) {
  for (const std::string& path : paths) {
    struct stat found{};
    if (path.empty() || path.front() != '/' || ::stat(path.c_str(), &found) != 0)
      return Error(Code::tree_missing, {.field = "files: " + path,
                                        .expected = "a file or folder that is there",
                                        .got = std::strerror(errno),
                                        .fix = ""});
    trees.push_back({path, S_ISDIR(found.st_mode), false, program});
  }
  if (trees.size() <= limits::kTreesMax) return success();
  return Error(Code::tree_unsafe, {.field = "files",
                                   .expected = "at most " + std::to_string(limits::kTreesMax),
                                   .got = std::to_string(trees.size()),
                                   .fix = ""});
}

std::string text_of(const BuiltinResult& result, std::string_view name) {
  for (const Field& field : result.fields) {
    const auto* text = std::get_if<std::string>(&field.value);
    if (text != nullptr && field.name == name) return *text;
  }
  return "";
}

}  // namespace

struct ThrowAway {
  static Result<RunReport> run(Spawner& spawner, authority::PermitFacts facts,
                               const Program& program) {
    const SystemClock clock;
    const std::int64_t until = facts.deadline_boot_ms + limits::kKillConfirmMs;
    TAPER_CHECK(spawner.state_->run_resident(std::move(facts), &program, {}, {}));
    while (clock.now().boot_ms < until) {
      pollfd wait{spawner.wait_fd(), POLLIN, 0};
      ::poll(&wait, 1, static_cast<int>(limits::kBrokerBeatMs));
      TAPER_CHECK(spawner.beat());
      TAPER_TRY(std::vector<RunReport> reports, spawner.poll());
      if (!reports.empty()) return std::move(reports.front());
    }
    return Error(Code::spawner_lost);
  }
};

Result<UpstreamAnswer> ask_upstream(const std::string& spawnd_path,
                                    const UpstreamQuestion& question) {
  TAPER_ASSERT(!question.argv.empty());
  TAPER_TRY(const Program program, Program::load(question.argv.front()));
  authority::PermitFacts facts;
  facts.task = crypto::random_id<TaskId>();
  facts.call = crypto::random_id<CallId>();
  facts.kind = authority::ToolKind::upstream;
  facts.argv = question.argv;
  facts.env = question.env;
  facts.program = program.hash();
  facts.inputs = {
      {"ask", "definitions"}, {"era", question.era}, {"timeout_ms", limits::kUpstreamPinMs}};
  TAPER_CHECK(add_trees(question.files, true, facts.trees));
  TAPER_CHECK(add_trees(question.data, false, facts.trees));
  facts.deadline_boot_ms =
      SystemClock().now().boot_ms + limits::kUpstreamPinMs + 2 * limits::kUpstreamGraceMs;
  TAPER_TRY(const auto spawner, Spawner::launch(spawnd_path));
  TAPER_TRY(RunReport report, ThrowAway::run(*spawner, std::move(facts), program));
  if (report.end != RunEnd::done) return std::move(report.error);
  UpstreamAnswer answer{text_of(report.result, "definitions"), text_of(report.result, "version"),
                        text_of(report.result, "server"), text_of(report.result, "left_out")};
  if (answer.definitions.size() + answer.left_out.size() <= limits::kUpstreamListBytesMax)
    return answer;
  return Error(Code::too_large, {.field = "definitions", .expected = "", .got = "", .fix = ""});
}

}  // namespace taper::sandbox
