// A throw-away fleet for zsp-check: a centre, an agent, two nodes, and tools whose effects are
// bytes in files outside every node's state.
#pragma once

#include <string>
#include <vector>

#include "capsules/value.h"
#include "tools/taper/demo_host.h"

namespace taper::tools {

// How one command ended: its exit code, the number of its error (0: none), its document.
struct Ran {
  int exit_code = -1;
  std::int64_t number = 0;
  capsules::Value document;

  std::string text(std::string_view pointer) const;  // empty where there is none
};

class ZspBench {
 public:
  // `program`: the taper that is checked. `own_tools`: programs are copied, since in a user
  // namespace those of the system belong to nobody.
  ZspBench(std::string program, bool own_tools)
      : program_(std::move(program)), own_tools_(own_tools) {}

  // In the current directory, which is empty. Errors: internal, with what could not be made.
  Status prepare();

  Result<Child> start(std::vector<std::string> words) const;  // with --json
  static Result<Ran> finish(const Child& child);
  Result<Ran> taper(std::vector<std::string> words) const;
  Status must(std::vector<std::string> words) const;  // which exits with 0
  // NAME.toml becomes NAME.capsule.
  Status sign(const std::string& name, const std::string& source) const;
  std::vector<std::string> run_words(const std::string& name, const std::string& key,
                                     const std::string& state) const;

  // Bytes that the tools of `name` have written.
  static std::int64_t effects(const std::string& name);
  Status make_effects(const std::string& name) const;
  int processes() const;  // of the bench's tools, anywhere on this host
  std::string digest(const std::string& tool) const;
  const std::string& directory() const { return directory_; }

 private:
  Result<std::string> shell() const;
  Status make_keys() const;
  Status make_tools();

  std::string program_;
  bool own_tools_;
  std::string directory_, marker_;
  capsules::Value tools_;
};

}  // namespace taper::tools
