#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "capsules/open.h"
#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/keys.h"
#include "tools/taper/zsp_ends.h"

namespace taper::tools {
namespace {

constexpr int kLookMs = 20;
constexpr int kPatienceMs = 20'000;
constexpr unsigned kFileMode = 0644;
constexpr const char* kAgent = "agent/agent.key";
constexpr const char* kState = "node/state";
constexpr std::int64_t kDay = 86'400;

struct Options {
  bool keep = false;
  bool entered = false;  // the network namespace was made
  std::string program = kThisProgram;
};

enum class Verdict : std::uint8_t { refused, acted, other };

struct Probe {
  std::string end, tried, expected, happened;
  Verdict verdict = Verdict::other;
};

std::string number_words(std::int64_t number) { return "E" + std::to_string(number); }

class ZspCheck {
 public:
  ZspCheck(const Options& options, Output& out)
      : out_(out), bench_(options.program, options.entered && ::geteuid() != 0) {}
  Status play();

 private:
  // Signs NAME.capsule and hands it on as NAME-narrow.capsule.
  Status prepare_capsule(const EndCase& end);
  Status make_end(const EndCase& end);
  Status start_and_end(const EndCase& end, Ran& ran);
  Status end_live(const std::string& name, const std::string& verb);
  // Kills the node in the middle of a call whose effect is there; its task stays live.
  Status leave_live(const std::string& name);
  // The task of `name` has ended so; its id is kept.
  Status find_ended(const std::string& name, const std::string& state, const std::string& reason);
  Result<capsules::Value> find_task(const std::string& name) const;
  Status try_to_go_on(const EndCase& end);
  Status try_results(const std::string& name);
  Status interrupt();
  Status unlist_issuer();
  // The next trust root of the fleet, imported by the node.
  Status import_next(const std::function<void(capsules::TrustRootData&)>& change);
  Status replay_proof();
  Status go_elsewhere();
  Status change_bytes();
  Status older_database();
  Status set_clock_back();
  Status tell();

  // Runs the words; acted when they succeed or more effects of `name` are there than before.
  Status probe(const std::string& name, const std::string& tried, std::int64_t expected,
               std::vector<std::string> words);
  void add(Probe probe);
  // Effects of `name` beyond those allowed, and processes that should be dead.
  void no_more_than(const std::string& name, const std::string& tried, std::int64_t allowed);
  void no_process(const std::string& name);
  template <class Done>
  static bool wait_for(Done done) {
    for (int waited = 0; waited < kPatienceMs; waited += kLookMs) {
      if (done()) return true;
      sleep_ms(kLookMs);
    }
    return false;
  }

  Output& out_;
  ZspBench bench_;
  std::string reader_, task_, root_file_ = "centre/root.tpr";
  std::vector<Probe> probes_;
};

Error not_made(const std::string& what, const std::string& expected, const std::string& got) {
  return Error(Code::internal, {.field = "zsp-check: " + what,
                                .expected = expected,
                                .got = got,
                                .fix = "see 'taper doctor' for what this host lacks"});
}

std::string verdict_word(Verdict verdict) {
  switch (verdict) {
    case Verdict::refused: return "refused";
    case Verdict::acted: return "acted";
    case Verdict::other: break;
  }
  return "other";
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

void ZspCheck::add(Probe probe) {
  const std::string_view colour = probe.verdict == Verdict::refused ? kGreen : kRed;
  std::string word = verdict_word(probe.verdict);
  if (probe.verdict == Verdict::acted) word = "ACTED";
  if (probe.verdict == Verdict::other) word = "OTHER";
  out_.line(padded(probe.end, 14) + padded(probe.tried, 48) + padded(probe.expected, 12) +
            padded(probe.happened, 16) + coloured(word, colour));
  probes_.push_back(std::move(probe));
}

Status ZspCheck::probe(const std::string& name, const std::string& tried, std::int64_t expected,
                       std::vector<std::string> words) {
  const std::int64_t before = ZspBench::effects(name);
  TAPER_TRY(const Ran ran, bench_.taper(std::move(words)));
  const std::int64_t more = ZspBench::effects(name) - before;
  Probe done{name, tried, number_words(expected), number_words(ran.number), Verdict::refused};
  if (ran.number != expected) done.verdict = Verdict::other;
  if (ran.exit_code == 0 || more != 0) {
    done.verdict = Verdict::acted;
    done.happened = "exit " + std::to_string(ran.exit_code) + ", " + std::to_string(more) + " more";
  }
  add(std::move(done));
  return success();
}

void ZspCheck::no_more_than(const std::string& name, const std::string& tried,
                            std::int64_t allowed) {
  const std::int64_t effects = ZspBench::effects(name);
  add({name, tried, std::to_string(allowed) + " effects", std::to_string(effects) + " effects",
       effects <= allowed ? Verdict::refused : Verdict::acted});
}

void ZspCheck::no_process(const std::string& name) {
  const int left = bench_.processes();
  add({name, "a process left in its cell", "none", left == 0 ? "none" : std::to_string(left),
       left == 0 ? Verdict::refused : Verdict::acted});
}

Status ZspCheck::end_live(const std::string& name, const std::string& verb) {
  const bool runs = wait_for([this] { return bench_.processes() > 0; });
  TAPER_TRY(const Ran list, bench_.taper({"task", "list", "--state", kState}));
  const capsules::Value* tasks = list.document.find("tasks");
  const bool any = tasks != nullptr && tasks->array() != nullptr;
  for (const capsules::Value& task : any ? *tasks->array() : capsules::Array{}) {
    const capsules::Value* state = task.find("state");
    const capsules::Value* id = task.find("task");
    if (state != nullptr && id != nullptr && *state == capsules::Value("active"))
      return bench_.must({"task", verb, *id->text(), "--state", kState});
  }
  return not_made(name, "a task that runs", runs ? "none in the list" : "no process of its tool");
}

Status ZspCheck::start_and_end(const EndCase& end, Ran& ran) {
  TAPER_TRY(const Child child, bench_.start(bench_.run_words(end.name, kAgent, kState)));
  Status ended = success();
  if (end.reason == "cancelled") ended = end_live(end.name, "cancel");
  if (end.reason == "operator_kill") ended = end_live(end.name, "kill");
  TAPER_TRY(ran, ZspBench::finish(child));
  return ended;
}

Status ZspCheck::prepare_capsule(const EndCase& end) {
  TAPER_CHECK(bench_.make_effects(end.name));
  TAPER_CHECK(bench_.sign(end.name, source_of(end, bench_, reader_)));
  return bench_.must({"capsule", "narrow", end.name + ".capsule", "--with", "keep.toml", "--key",
                      kAgent, "--holder", "agent/helper.pub", "--out",
                      end.name + "-narrow.capsule"});
}

Status ZspCheck::make_end(const EndCase& end) {
  TAPER_CHECK(prepare_capsule(end));
  if (end.reason == "drift") {
    const std::string path = std::string(kState) + "/tools.d/drift.toml";
    TAPER_TRY(const Bytes file, read_file(path, limits::kToolFileBytesMax));
    std::string text(as_text(file));
    const std::size_t at = text.find("exit 0");
    if (at == text.npos) return not_made("drift", "its tool's script", "none");
    TAPER_CHECK(replace_file(path, as_bytes(text.replace(at, 6, "exit  0")), kFileMode));
  }
  Ran ran;
  TAPER_CHECK(start_and_end(end, ran));
  task_ = ran.text("/task");
  const std::string state = ran.text("/state") + " (" + ran.text("/reason") + ")";
  if (ran.text("/state") != end.state || ran.text("/reason") != end.reason)
    return not_made("the end of " + end.name, end.state + " (" + end.reason + ")",
                    ran.number == 0 ? state : state + " E" + std::to_string(ran.number));
  if (ZspBench::effects(end.name) == 0) return not_made(end.name, "one effect", "none");
  return success();
}

Status ZspCheck::try_to_go_on(const EndCase& end) {
  const std::string& name = end.name;
  no_more_than(name, "the next step of its plan", 1);
  no_process(name);
  TAPER_CHECK(
      probe(name, "run its capsule again", end.again, bench_.run_words(name, kAgent, kState)));
  TAPER_CHECK(probe(name, "run a narrowed chain of the same root", end.again,
                    bench_.run_words(name + "-narrow", "agent/helper.key", kState)));
  std::error_code failed;
  std::filesystem::remove_all("copy", failed);
  std::filesystem::create_directory("copy", failed);
  std::filesystem::copy("node/state", "copy/state", std::filesystem::copy_options::recursive,
                        failed);
  if (failed) return os_error("copy the state", failed.value());
  TAPER_CHECK(probe(name, "run it on a copy of the state", end.again,
                    bench_.run_words(name, kAgent, "copy/state")));
  TAPER_CHECK(probe(name, "end it once more", 611, {"task", "cancel", task_, "--state", kState}));
  return try_results(name);
}

Status ZspCheck::try_results(const std::string& name) {
  const auto reading = [this](const char* key) {
    return std::vector<std::string>{"task",  "result", task_,     "act",
                                    "--key", key,      "--state", kState};
  };
  TAPER_CHECK(probe(name, "read its result with another key", 814, reading("agent/stranger.key")));
  TAPER_TRY(const Ran shown, bench_.taper({"task", "show", task_, "--state", kState}));
  if (shown.text("/calls/0/state") != "done") return success();  // it has none
  TAPER_CHECK(bench_.must(reading("agent/reader.key")));
  return probe(name, "read its result once more than allowed", 814, reading("agent/reader.key"));
}

Result<capsules::Value> ZspCheck::find_task(const std::string& name) const {
  TAPER_TRY(const Ran list, bench_.taper({"task", "list", "--state", kState}));
  const capsules::Value* tasks = list.document.find("tasks");
  const bool any = tasks != nullptr && tasks->array() != nullptr;
  for (const capsules::Value& task : any ? *tasks->array() : capsules::Array{}) {
    const capsules::Value* purpose = task.find("purpose");
    const bool text = purpose != nullptr && purpose->text() != nullptr;
    if (text && purpose->text()->ends_with(": " + name)) return task;
  }
  return not_made(name, "a task in the list", "none");
}

Status ZspCheck::find_ended(const std::string& name, const std::string& state,
                            const std::string& reason) {
  TAPER_TRY(const capsules::Value task, find_task(name));
  const Ran found{.document = task};
  task_ = found.text("/task");
  if (found.text("/state") == state && found.text("/reason") == reason) return success();
  return not_made("the end of " + name, state + " (" + reason + ")",
                  found.text("/state") + " (" + found.text("/reason") + ")");
}

Status ZspCheck::leave_live(const std::string& name) {
  TAPER_CHECK(prepare_capsule(plain_case(name, "slow")));
  TAPER_TRY(const Child child, bench_.start(bench_.run_words(name, kAgent, kState)));
  const bool acted = wait_for([&name] { return ZspBench::effects(name) > 0; });
  ::kill(child.pid, SIGKILL);
  TAPER_TRY(const Ran killed, ZspBench::finish(child));
  if (!acted) return not_made(name, "an effect", number_words(killed.number));
  static_cast<void>(wait_for([this] { return bench_.processes() == 0; }));
  return success();
}

// A call that was under way when its node was killed, with its effect already there.
Status ZspCheck::interrupt() {
  const std::string name = "interrupted";
  TAPER_CHECK(leave_live(name));
  no_process(name);
  const std::vector<std::string> words = bench_.run_words(name, kAgent, kState);
  TAPER_TRY(const Ran resumed, bench_.taper(words));
  no_more_than(name, "retry the interrupted call after a restart", 1);
  task_ = resumed.text("/task");
  return probe(name, "run its capsule again", 408, words);
}

Status ZspCheck::import_next(const std::function<void(capsules::TrustRootData&)>& change) {
  TAPER_TRY(const Bytes file, read_file(root_file_, limits::kRootBytesMax));
  TAPER_TRY(const capsules::TrustRoot root, capsules::open_root(file));
  capsules::TrustRootData data = root.data();
  ++data.version;
  data.fleet = root.fleet();
  data.previous = root.hash();
  change(data);
  TAPER_TRY(const crypto::SigningKey key, open_key("centre/root.key", crypto::Role::root, {}));
  TAPER_TRY(const Bytes payload, capsules::encode_root(data));
  const capsules::RootSignature signature{.key = crypto::key_id(key.public_key()),
                                          .signature = key.sign(crypto::statement::kRoot, payload)};
  root_file_ = "centre/root-" + std::to_string(data.version) + ".tpr";
  TAPER_CHECK(create_file(root_file_, capsules::frame_root(payload, {signature}), kFileMode));
  return bench_.must({"import", "--state", kState, root_file_});
}

// The root drops the issuer while a task of his lives, and takes him in again later.
Status ZspCheck::unlist_issuer() {
  const std::string name = "unlisted";
  TAPER_CHECK(leave_live(name));
  PublicKey issuer;
  TAPER_TRY(const crypto::SigningKey stranger,
            open_key("agent/stranger.key", crypto::Role::holder, {}));
  TAPER_CHECK(import_next([&](capsules::TrustRootData& data) {
    issuer = data.issuers[0].key;
    data.issuers[0].key = stranger.public_key();
  }));
  TAPER_CHECK(probe(name, "run its capsule while the root lacks its issuer", 301,
                    bench_.run_words(name, kAgent, kState)));
  TAPER_CHECK(find_ended(name, "revoked", "revocation"));
  TAPER_CHECK(import_next([&](capsules::TrustRootData& data) { data.issuers[0].key = issuer; }));
  return try_to_go_on(plain_case(name, "slow"));
}

Status ZspCheck::replay_proof() {
  EndCase end = plain_case("replay");
  end.terms += "activations = 2\n";
  TAPER_CHECK(prepare_capsule(end));
  TAPER_TRY(const crypto::SigningKey key, open_key(kAgent, crypto::Role::holder, {}));
  std::array<std::uint8_t, 64> recorded{};
  broker::RunOptions options;
  options.state = kState;
  options.capsule_path = "replay.capsule";
  options.holder_key_path = kAgent;
  options.prove = [&](ByteSpan statement) {
    return recorded = key.sign(crypto::statement::kActivation, statement);
  };
  TAPER_TRY(const broker::RunReport first, broker::run(options));
  if (first.code != Code::ok || ZspBench::effects(end.name) != 1)
    return not_made("replay", "a task that completes", describe(first.code).name);
  options.prove = [&](ByteSpan) { return recorded; };
  const Result<broker::RunReport> second = broker::run(options);
  const std::int64_t number = describe(second.code()).number;
  const bool acted = second.ok() || ZspBench::effects(end.name) != 1;
  add({end.name, "the recorded proof, for its second activation", "E410",
       acted ? "a task" : number_words(number),
       acted           ? Verdict::acted
       : number == 410 ? Verdict::refused
                       : Verdict::other});
  return probe(end.name, "its second activation with another key", 410,
               bench_.run_words(end.name, "agent/stranger.key", kState));
}

Status ZspCheck::go_elsewhere() {
  const EndCase end = plain_case("elsewhere");
  TAPER_CHECK(prepare_capsule(end));
  TAPER_CHECK(probe(end.name, "run it on another node", 401,
                    bench_.run_words(end.name, kAgent, "other/state")));
  TAPER_CHECK(change_bytes());
  TAPER_CHECK(older_database());
  no_more_than(end.name, "all of these together, with one run allowed", 1);
  return success();
}

// Another purpose under the same signature.
Status ZspCheck::change_bytes() {
  TAPER_TRY(Bytes file, read_file("elsewhere.capsule", limits::kCapsuleBytesMax));
  const std::size_t at = as_text(file).find("Act, end");
  if (at == std::string_view::npos) return not_made("elsewhere", "its purpose", "none");
  file[at] = 'E';
  TAPER_CHECK(create_file("elsewhere-changed.capsule", file, kFileMode));
  return probe("elsewhere", "run it with another purpose", 300,
               bench_.run_words("elsewhere-changed", kAgent, kState));
}

// The database of before a run, under what the node wrote beside it since.
Status ZspCheck::older_database() {
  std::error_code failed;
  std::filesystem::copy_file("node/state/data.mdb", "data-before.mdb", failed);
  if (failed) return os_error("copy the database", failed.value());
  TAPER_TRY(const Ran ran, bench_.taper(bench_.run_words("elsewhere", kAgent, kState)));
  if (ran.exit_code != 0 || ZspBench::effects("elsewhere") != 1)
    return not_made("elsewhere", "one run", number_words(ran.number));
  std::filesystem::remove_all("copy", failed);
  std::filesystem::create_directory("copy", failed);
  std::filesystem::copy("node/state", "copy/state", std::filesystem::copy_options::recursive,
                        failed);
  if (!failed)
    std::filesystem::copy_file("data-before.mdb", "copy/state/data.mdb",
                               std::filesystem::copy_options::overwrite_existing, failed);
  if (failed) return os_error("copy the state", failed.value());
  return probe("elsewhere", "run it again on the database of before", 804,
               bench_.run_words("elsewhere", kAgent, "copy/state"));
}

// A root of tomorrow: the node's clock then stands a day before a time known to have passed.
Status ZspCheck::set_clock_back() {
  TAPER_CHECK(leave_live("clock-step"));
  TAPER_CHECK(prepare_capsule(plain_case("clock")));
  TAPER_CHECK(import_next(
      [](capsules::TrustRootData& data) { data.issued_at_s = SystemClock().now().wall_s + kDay; }));
  TAPER_CHECK(probe("clock", "run with a clock that was set back a day", 405,
                    bench_.run_words("clock", kAgent, kState)));
  TAPER_CHECK(find_ended("clock-step", "revoked", "clock"));
  EndCase end = plain_case("clock-step", "slow");
  end.again = 405;
  TAPER_CHECK(try_to_go_on(end));
  return probe("completed", "run it again with a clock set back", 405,
               bench_.run_words("completed", kAgent, kState));
}

Status ZspCheck::tell() {
  capsules::Array list;
  std::int64_t wrong = 0;
  std::string first;
  for (const Probe& probe : probes_) {
    list.push_back(capsules::Object{{"end", probe.end},
                                    {"tried", probe.tried},
                                    {"expected", probe.expected},
                                    {"happened", probe.happened},
                                    {"verdict", verdict_word(probe.verdict)}});
    if (probe.verdict == Verdict::refused) continue;
    if (first.empty()) first = probe.end + ": " + probe.tried + ": " + probe.happened;
    ++wrong;
  }
  const auto all = static_cast<std::int64_t>(probes_.size());
  out_.set("probes", std::move(list));
  out_.set("wrong", wrong);
  out_.line(std::to_string(all - wrong) + " of " + std::to_string(all) + " attempts refused" +
            (wrong == 0 ? ": nothing acts after its task has ended" : ""));
  if (wrong == 0) return success();
  return Error(Code::acted_after_end, {.field = "zsp-check",
                                       .expected = "every attempt refused by its own rule",
                                       .got = std::to_string(wrong) + " not, first " + first,
                                       .fix = ""});
}

Status ZspCheck::play() {
  TAPER_CHECK(bench_.prepare());
  out_.line("throw-away keys and nodes in " + escape_text(bench_.directory()));
  TAPER_CHECK(create_file("keep.toml", as_bytes(std::string_view("[[grant]]\nparent = \"act\"\n")),
                          kFileMode));
  TAPER_TRY(const Ran reader, bench_.taper({"key", "show", "agent/reader.pub"}));
  reader_ = reader.text("/key");
  out_.line(padded("END", 14) + padded("TRIED", 48) + padded("EXPECTED", 12) +
            padded("HAPPENED", 16));
  for (const EndCase& end : end_cases()) {
    TAPER_CHECK(make_end(end));
    TAPER_CHECK(try_to_go_on(end));
  }
  TAPER_CHECK(interrupt());
  TAPER_CHECK(unlist_issuer());
  TAPER_CHECK(replay_proof());
  TAPER_CHECK(go_elsewhere());
  TAPER_CHECK(set_clock_back());
  return tell();
}

Status in_directory(const Options& options, Output& out) {
  const char* base = ::getenv("TMPDIR");
  std::string directory = std::string(base != nullptr ? base : "/tmp") + "/taper-zsp-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) return os_error("mkdtemp " + directory, errno);
  std::error_code failed;
  directory = std::filesystem::canonical(directory, failed).string();
  if (failed || ::chdir(directory.c_str()) != 0) return os_error("chdir " + directory, errno);
  // It goes on with copies of its nodes on purpose, which their markers' twins would show.
  ::setenv("TAPER_RUNTIME_DIR", "", 1);  // NOLINT(concurrency-mt-unsafe): no thread reads it
  Status played = ZspCheck(options, out).play();
  if (options.keep) {
    out.line("kept: " + escape_text(directory));
    out.set("directory", text_value(directory));
  } else if (::chdir("/") == 0) {
    std::filesystem::remove_all(directory, failed);
  }
  return played;
}

Status zsp_check(Options& options, Output& out) {
  std::error_code failed;
  if (options.program != kThisProgram)
    options.program = std::filesystem::canonical(options.program, failed).string();
  if (failed) return Error(Code::file_missing, {options.program, "a program", "none", ""});
  if (!options.entered) {
    std::vector<std::string> again{"zsp-check", "--network-is-empty"};
    if (options.keep) again.emplace_back("--keep");
    if (out.json) again.emplace_back("--json");
    if (options.program != kThisProgram) again.insert(again.end(), {"--program", options.program});
    const Error uncut = enter_empty_network(again);
    out.line("note the network was not cut here (" + escape_text(uncut.detail().field) +
             "); nothing below uses it");
  }
  return in_directory(options, out);
}

}  // namespace

void add_zsp_verb(Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = command.verb(
      &command.app, "zsp-check",
      "Let tasks end in each way there is, try to go on after each end, and count what acts",
      "taper zsp-check     # exit 0: every attempt was refused",
      [&command, options] { return zsp_check(*options, command.out); });
  verb->add_flag("--keep", options->keep, "Keep the directory with keys, capsules and states");
  verb->add_option("--program", options->program, "The taper to check (default: this one)");
  verb->add_flag("--network-is-empty", options->entered)->group("");
}

}  // namespace taper::tools
