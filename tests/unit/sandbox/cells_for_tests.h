// Cells for the tests of this folder: a Spawner on the built taper-spawnd, permits made up, one run
// at a time.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/sandbox/spawner.h"

namespace taper::testing {

std::string built_program(const std::string& name);  // its path in the build's bin
std::int64_t boot_ms();
std::unique_ptr<sandbox::Spawner> launch_spawner();

// A directory of its own below /tmp, open to everybody, removed with all in it.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }
  // Writes a file below it and gives its path.
  std::string add(const std::string& name, const std::string& text, unsigned mode = 0644) const;

 private:
  std::string path_;
};

// Empty when it cannot be read.
std::string text_of(const std::string& path);

// The facts of a call with fresh ids and ten seconds to live.
authority::PermitFacts command_facts(const sandbox::Program& program,
                                     std::vector<std::string> argv);
authority::PermitFacts builtin_facts(const std::string& tool,
                                     std::vector<authority::InputValue> inputs);

// Polls until `wanted` reports are there, at most ten seconds; beats meanwhile.
std::vector<sandbox::RunReport> wait_reports(sandbox::Spawner& spawner, std::size_t wanted = 1);
sandbox::RunReport run_call(sandbox::Spawner& spawner, authority::PermitFacts facts,
                            const sandbox::Program* program = nullptr);
// hostile_inspect with these words, in a cell of its own.
sandbox::RunReport inspect(std::vector<std::string> words,
                           const std::function<void(authority::PermitFacts&)>& change = {});

// Processes of this machine that have `marker` as a whole word of their argv.
std::size_t processes_with(const std::string& marker);
// True once `condition` holds, checked all the time for at most `limit_ms`.
bool eventually(std::int64_t limit_ms, const std::function<bool()>& condition);

}  // namespace taper::testing
