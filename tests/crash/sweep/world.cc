#include "tests/crash/sweep/world.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "store/audit_verify.h"
#include "tests/support/child_process.h"

namespace taper::crash {
namespace {

namespace fs = std::filesystem;
using testing::plan_step;

constexpr int kRunMs = 30'000;  // far beyond any run
constexpr std::int64_t kLeaseMs = 3'600'000;
constexpr const char* kMemory = "/dev/shm";
constexpr const char* kEffects = "effects";

void copy_state(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

// The value of `"name":"…"` in canonical JSON; empty when it is not there.
std::string member(std::string_view body, const std::string& name) {
  const std::string key = "\"" + name + "\":\"";
  const std::size_t at = body.find(key);
  if (at == std::string_view::npos) return "";
  const std::size_t begin = at + key.size();
  return std::string(body.substr(begin, body.find('"', begin) - begin));
}

// Waits for every process below this one. False when some would not end.
bool all_gone() {
  for (int waited = 0; waited < kRunMs; waited += 2) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (::waitpid(-1, nullptr, WNOHANG) < 0) return true;
    testing::pause_ms(2);
  }
  return false;
}

}  // namespace

capsules::Capsule sample_plan(testing::NodeForTests& node, const std::string& prefix) {
  capsules::Capsule capsule = node.capsule();
  // A sweep takes minutes, and a task that waits for it must not lapse meanwhile.
  capsule.lease_ttl_ms = capsule.lease_idle_ms = kLeaseMs;
  capsule.grants = {node.grant({.tool = "file.append",
                                .paths = {"path"},
                                .any = {"content"},
                                .calls = kWrites,
                                .effect = capsules::Effect::write}),
                    node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  const auto add = [&](const std::string& id, const char* tool, const std::string& args) {
    capsule.plan.steps.push_back(plan_step(id, tool, args, {}, capsules::OnError::carry_on));
  };
  const std::string file = node.data() + "/" + kEffects;
  for (int i = 0; i < kWrites; ++i) {
    const std::string id = prefix + "w" + std::to_string(i);
    add(id, "file.append", R"({"content":")" + id + R"(\n","path":")" + file + "\"}");
    if (i == 1) add("denied", "file.read", R"({"path":"/etc/hostname"})");
    if (i == 2) add("fails", "file.read", R"({"path":")" + node.data() + "/absent\"}");
  }
  add("read", "file.read", R"({"path":")" + file + "\"}");
  return capsule;
}

World::World() : node_(kMemory), kept_(node_.state() + ".kept") {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  TAPER_ASSERT(memory != MAP_FAILED);
  shared_ = static_cast<Shared*>(memory);
  capsule_ = node_.sign(sample_plan(node_));
  remember();
}

std::string World::effects_file() const { return node_.data() + "/" + kEffects; }

std::string World::archive_file() const { return node_.folder() + "/archive.tpa"; }

World::~World() { ::munmap(shared_, sizeof(Shared)); }

void World::remember() {
  fs::remove(state() + "/control.sock");
  copy_state(state(), kept_);
}

void World::forget_state() { fs::remove_all(kept_); }

void World::put_back() {
  fs::remove_all(state());
  if (fs::exists(kept_)) copy_state(kept_, state());
  fs::remove(effects_file());
  // What a power cut kept of removed files lies beside the state.
  for (const auto& entry : fs::directory_iterator(fs::path(state()).parent_path()))
    if (entry.path().filename().string().starts_with("state.kept-")) fs::remove(entry.path());
}

Ended World::run(const std::function<Status()>& work, std::optional<unsigned> kill_after_us) {
  shared_->reported = 0;
  shared_->error[0] = '\0';
  const fault_plan wanted = shared_->plan;
  shared_->plan.count = 0;
  std::snprintf(shared_->plan.tree, sizeof(wanted.tree), "%s", state().c_str());
  testing::ChildProcess child([&] {
    fault_arm(&shared_->plan);
    const Status done = work();
    if (done.ok()) return 0;
    std::snprintf(shared_->error, sizeof(shared_->error), "%s", to_line(done.error()).c_str());
    return 1;
  });
  Ended ended;
  if (kill_after_us) ::usleep(*kill_after_us);
  for (int waited = 0; !kill_after_us && child.running() && waited < kRunMs; ++waited)
    testing::pause_ms(1);
  ended.hung = !kill_after_us && child.running();
  child.kill_now();
  ended.status = child.wait();
  ended.left = !all_gone();
  return ended;
}

std::vector<std::string> World::effects() const {
  std::istringstream in(node_.read(kEffects));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

Result<Told> World::told() const {
  TAPER_TRY(const authority::NodeRecord record, broker::node_record(state()));
  TAPER_TRY(const Bytes log, broker::audit_export(state(), std::nullopt));
  store::LogTrust trust = {.node = record.sign,
                           .incarnation = record.incarnation,
                           .log_key_0 = record.log_key_0,
                           .nonce = std::nullopt};
  TAPER_TRY(const store::LogFront front, store::read_log_front(log));
  Bytes archive;
  if (front.first != 0) {
    TAPER_TRY(archive, read_file(archive_file(), limits::kLogFileBytesMax));
    TAPER_TRY(const store::VerifiedLog before, store::verify_log(archive, trust));
    trust.after = before.end;
  }
  TAPER_CHECK(store::verify_log(log, trust));
  Told told;
  const auto note = [&told](const store::LogRecord& record_of) {
    told.types.emplace_back(record_of.type_name);
    const std::string step = member(record_of.body, "step");
    if (record_of.type_name == "decision" && member(record_of.body, "verdict") == "allow")
      ++told.allowed[step];
    if (record_of.type_name == "outcome" && member(record_of.body, "outcome") == "done")
      ++told.done[step];
    const std::string verb = member(record_of.body, "verb");
    if (record_of.type_name == "activation" && (verb == "activate" || verb == "join"))
      ++told.attached;
    const std::string call = member(record_of.body, "call");
    if (record_of.type_name == "decision" && verb == "cancel" &&
        member(record_of.body, "verdict") == "allow")
      told.cancelled.insert(call);
    if (record_of.type_name == "outcome" && told.cancelled.contains(call) &&
        member(record_of.body, "outcome") != "killed")
      ++told.undone;
    const std::string input = member(record_of.body, "input_digest");
    if (record_of.type_name == "decision" && !input.empty() &&
        member(record_of.body, "verdict") == "allow") {
      int& left = told.answered[call + input];
      left += verb == "update" ? 1 : -1;
      if (left < 0) ++told.unanswered;
    }
    if (record_of.type_name != "reading") return;
    if (verb == "erase")
      ++told.erased;
    else if (member(record_of.body, "verdict") == "allow")
      ++told.read[step];
  };
  if (!archive.empty()) TAPER_CHECK(store::read_log(archive, note));
  TAPER_CHECK(store::read_log(log, note));
  return told;
}

broker::RunOptions World::options(const std::string& capsule) {
  broker::RunOptions options = node_.options(capsule);
  options.on_step = [this](const broker::StepReport& report) {
    if (report.outcome != "done" || shared_->reported >= kReports) return;
    std::snprintf(shared_->steps[shared_->reported], sizeof(shared_->steps[0]), "%s",
                  report.id.c_str());
    ++shared_->reported;
  };
  return options;
}

}  // namespace taper::crash
