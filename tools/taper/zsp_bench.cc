#include "tools/taper/zsp_bench.h"

#include <unistd.h>

#include <filesystem>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "tools/taper/demo_texts.h"

namespace taper::tools {
namespace {

constexpr unsigned kFileMode = 0644;
constexpr unsigned kProgramMode = 0755;
constexpr const char* kShell = "/usr/bin/bash";

Status write(const std::string& path, const std::string& text) {
  return create_file(path, as_bytes(text), kFileMode);
}

// A tool that runs `script` in a shell; the marker is found again among its arguments.
std::string tool(const std::string& shell, const std::string& marker, const std::string& effect,
                 const std::string& script, bool takes_path) {
  return "kind   = \"command\"\neffect = \"" + effect + "\"\noutput = \"text\"\nargv   = [\"" +
         shell + "\", \"-c\", '''" + script + "''', \"" + marker + "\"" +
         (takes_path ? ", { arg = \"path\" }]\n[input]\npath = { type = \"path\" }\n"
                     : "]\n[input]\n");
}

}  // namespace

std::string Ran::text(std::string_view pointer) const {
  const capsules::Value* found = document.at_pointer(pointer);
  return found != nullptr && found->text() != nullptr ? *found->text() : std::string();
}

Result<Child> ZspBench::start(std::vector<std::string> words) const {
  words.emplace_back("--json");
  return start_program(program_, words);
}

Result<Ran> ZspBench::finish(const Child& child) {
  TAPER_TRY(const ChildEnd end, finish_child(child));
  Ran ran;
  ran.exit_code = end.exit_code;
  // Killed, it leaves none.
  Result<capsules::Value> document =
      capsules::parse_value(as_bytes(end.out), limits::kResultBytesMax);
  if (document.ok()) ran.document = std::move(*document);
  const capsules::Value* number = ran.document.at_pointer("/error/number");
  if (number != nullptr && number->integer() != nullptr) ran.number = *number->integer();
  return ran;
}

Result<Ran> ZspBench::taper(std::vector<std::string> words) const {
  TAPER_TRY(const Child child, start(std::move(words)));
  return finish(child);
}

Status ZspBench::must(std::vector<std::string> words) const {
  const std::string verb = words.front() + " " + words.at(1);
  TAPER_TRY(const Ran ran, taper(std::move(words)));
  if (ran.exit_code == 0) return success();
  return Error(Code::internal, {.field = "taper " + verb,
                                .expected = "exit 0",
                                .got = "E" + std::to_string(ran.number) + " " +
                                       ran.text("/error/field") + " " + ran.text("/error/got"),
                                .fix = "see 'taper doctor' for what this host lacks"});
}

Status ZspBench::sign(const std::string& name, const std::string& source) const {
  TAPER_CHECK(write(name + ".toml", source));
  return must({"capsule", "sign", name + ".toml", "--key", "centre/issuer.key", "--root",
               "centre/root.tpr", "--node", "node/state/node.pub", "--holder", "agent/agent.pub",
               "--tools", "centre/tools.json", "--out", name + ".capsule"});
}

std::vector<std::string> ZspBench::run_words(const std::string& name, const std::string& key,
                                             const std::string& state) const {
  return {"run", name + ".capsule", "--key", key, "--state", state};
}

std::int64_t ZspBench::effects(const std::string& name) {
  std::error_code failed;
  const auto size = std::filesystem::file_size("effects/" + name, failed);
  return failed ? 0 : static_cast<std::int64_t>(size);
}

Status ZspBench::make_effects(const std::string& name) const {
  return write("effects/" + name, "");
}

int ZspBench::processes() const { return count_processes(marker_); }

std::string ZspBench::digest(const std::string& tool) const {
  return demo::digest_of(tools_, tool);
}

Result<std::string> ZspBench::shell() const {
  if (!own_tools_) return std::string(kShell);
  TAPER_TRY(const Bytes bytes, read_file(kShell, limits::kProgramBytesMax));
  const std::string copy = directory_ + "/node/bash";
  TAPER_CHECK(create_file(copy, bytes, kProgramMode));
  return copy;
}

Status ZspBench::make_keys() const {
  for (const auto& [role, file] : {std::pair<const char*, const char*>{"root", "centre/root.key"},
                                   {"issuer", "centre/issuer.key"},
                                   {"holder", "agent/agent.key"},
                                   {"holder", "agent/helper.key"},
                                   {"holder", "agent/reader.key"},
                                   {"holder", "agent/stranger.key"}}) {
    TAPER_CHECK(must({"key", "new", "--role", role, "--out", file, "--no-passphrase"}));
  }
  return must({"root", "init", "--key", "centre/root.key", "--issuer", "centre/issuer.pub", "--out",
               "centre/root.tpr"});
}

Status ZspBench::make_tools() {
  TAPER_TRY(const std::string shell, ZspBench::shell());
  const auto put = [&](const std::string& name, const std::string& effect,
                       const std::string& script, bool takes_path) {
    return write("node/state/tools.d/" + name + ".toml",
                 tool(shell, marker_, effect, script, takes_path));
  };
  TAPER_CHECK(put("stay", "read", "while :; do sleep 60; done", false));
  TAPER_CHECK(put("fail", "read", "exit 3", false));
  TAPER_CHECK(put("break", "read", "kill -SYS $$", false));
  TAPER_CHECK(put("drift", "read", "exit 0", false));
  TAPER_CHECK(put("slow", "write", "printf x >> \"$1\"; while :; do sleep 60; done", true));
  TAPER_TRY(const Ran list, taper({"tools", "list", "--state", "node/state"}));
  tools_ = list.document;
  return write("centre/tools.json", capsules::write_canonical(tools_));
}

Status ZspBench::prepare() {
  std::error_code failed;
  directory_ = std::filesystem::current_path(failed).string();
  marker_ = "taper-zsp-" + crypto::random_id<DecisionId>().hex();
  for (const char* name : {"centre", "agent", "node", "other", "effects"}) {
    if (!std::filesystem::create_directory(name, failed))
      return os_error(std::string("mkdir ") + name, failed.value());
  }
  TAPER_CHECK(make_keys());
  for (const char* state : {"node/state", "other/state"}) {
    TAPER_CHECK(must({"node", "init", "--state", state, "--name", "zsp-check"}));
    TAPER_CHECK(must({"import", "--state", state, "centre/root.tpr"}));
  }
  return make_tools();
}

}  // namespace taper::tools
