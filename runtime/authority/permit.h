// A Permit is the in-memory proof that the authority allowed one call and that the allowance is
// durable. No permit, no tool runs. It is made by the authority alone, from a store::Committed; it
// cannot be copied, kept on disk or used twice.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "crypto/secret.h"
#include "runtime/base/assert.h"
#include "runtime/base/ids.h"
#include "runtime/base/limits.h"

namespace taper::store {
class Committed;
}

namespace taper::authority {

// upstream: a tool of an MCP server, which lives in the resident cell of {task, grant}. agent: the
// program that is a task's agent, which nobody calls.
enum class ToolKind : std::uint8_t { unset, builtin, command, upstream, agent };

// What whoever makes a call can answer while it goes on: nothing; a mere "ask again"; forms for
// people; forms and addresses to be visited.
enum class Input : std::uint8_t { none, retry, forms, urls };

struct InputValue {
  std::string name;
  std::variant<std::string, std::int64_t, bool> value;
};

// A host path that stands in the cell at the same place. Everything not listed is absent there.
struct GrantedTree {
  std::string path;        // absolute, plain form, free of symbolic links when mounted
  bool directory = false;  // a tree; else one regular file
  bool writable = false;
  bool program = false;  // read-only, and what is in it may be executed
  bool operator==(const GrantedTree&) const = default;
};

// A regular file that a server's argv names, by what it held when the tool was declared. Where its
// cell sees the path at all, it sees there a copy with these bytes.
struct EntryFile {
  std::string path;
  Hash bytes;  // BLAKE2b-256
};

struct CellCaps {
  std::size_t output_bytes = limits::kCellOutputBytes;
  std::uint64_t memory_bytes = limits::kCellMemoryBytes;
  std::uint32_t processes = limits::kCellProcesses;
  std::uint64_t cpu_s = limits::kCellCpuS;
};

// Everything the sandbox needs to know; the whole of what was allowed.
struct PermitFacts {
  TaskId task;
  CallId call;
  DecisionId decision;
  std::uint32_t grant = 0;  // of the kept grant, in its task; {task, grant} names a resident cell
  std::string tool;
  Hash digest;  // of the tool
  ToolKind kind = ToolKind::unset;
  // Builtins: the parsed arguments. Upstreams: what their cell is asked, see docs/formats/tools.md.
  std::vector<InputValue> inputs;
  std::vector<std::string> argv;  // not builtins: every word, argv[0] the program's path
  std::vector<std::string> env;   // commands, servers: NAME=value, beside what every cell has
  Hash program;                   // not builtins: BLAKE2b-256 of the program's bytes
  std::vector<EntryFile> entry;   // servers, agents; a part of `digest`
  bool writes = false;            // the tool may write; else every tree is read-only
  std::vector<GrantedTree> trees;
  CellCaps caps;
  std::int64_t deadline_boot_ms =
      0;  // on CLOCK_BOOTTIME of this boot; the cell dies then by itself
};

// What the call's grant lets its tool read, unsealed for this one call. A server has it from the
// start of its cell on.
struct CallSecret {
  std::string name;
  crypto::Secret value;
};

class Permit {
 public:
  Permit(Permit&& other) noexcept
      : facts_(std::move(other.facts_)), secrets_(std::move(other.secrets_)), live_(other.live_) {
    other.live_ = false;
  }
  Permit& operator=(Permit&&) = delete;
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

  const PermitFacts& facts() const {
    TAPER_ASSERT(live_);
    return facts_;
  }
  const std::vector<CallSecret>& secrets() const {
    TAPER_ASSERT(live_);
    return secrets_;
  }
  // Before consume; what is not taken is wiped with the permit.
  std::vector<CallSecret> take_secrets() {
    TAPER_ASSERT(live_);
    return std::move(secrets_);
  }
  // Gives the facts up, once. A second use aborts.
  PermitFacts consume() && {
    TAPER_ASSERT(live_);
    live_ = false;
    return std::move(facts_);
  }

 private:
  friend class PermitMaker;  // runtime/authority/permit_maker.h, private to the authority
  Permit(PermitFacts facts, std::vector<CallSecret> secrets, const store::Committed&)
      : facts_(std::move(facts)), secrets_(std::move(secrets)) {}
  PermitFacts facts_;
  std::vector<CallSecret> secrets_;
  bool live_ = true;
};

}  // namespace taper::authority
