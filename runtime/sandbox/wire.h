// What broker and spawnd say to each other: one SOCK_SEQPACKET datagram is one message, framed with
// ByteWriter, descriptors by SCM_RIGHTS. Private to the folder.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "runtime/authority/permit.h"
#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace taper::sandbox {

// The programs that speak with an MCP server, and with an agent, inside their cells; they lie
// beside taper-spawnd. What each has open: its socket and that program.
inline constexpr const char* kUpstreamHelper = "taper-upstream";
inline constexpr const char* kAgentHelper = "taper-agent";
inline constexpr int kHelperSocket = 3;
inline constexpr int kHelperProgram = 4;

// Where the files of the secrets stand in a cell.
inline constexpr const char* kSecretsFolder = "/run/secrets";
// One of them. The message has no values: these lie one behind the other in a sealed memory file.
struct SecretFile {
  std::string name;  // plain: no path
  std::uint32_t bytes = 0;
};

// Start a cell. Descriptors of a command: program, standard output, standard error; of a builtin
// cell: its end of the request socket; of an upstream's and an agent's: the program, the socket,
// the helper's program; then the memory file where there are secrets, and a copy of each entry.
struct CellOrder {
  std::uint64_t cell = 0;
  authority::ToolKind kind = authority::ToolKind::unset;
  std::int64_t deadline_boot_ms = 0;
  authority::CellCaps caps;
  std::vector<authority::GrantedTree> trees;  // writable only where the tool may write
  std::vector<std::string> argv, env;         // not builtins
  std::vector<SecretFile> secrets;            // not builtins
  // Upstreams, agents: files in whose place the cell gets the copies; none is writable.
  std::vector<authority::GrantedTree> entry;
};
struct KillOrder {
  std::vector<std::uint64_t> cells;
};
struct Beat {};
using Order = std::variant<Beat, CellOrder, KillOrder>;

enum class CellEnd : std::uint8_t {
  unset,
  exited,     // value: status
  signalled,  // value: signal
  deadline,
  killed,   // by a KillOrder
  refused,  // code, field and got say why; nothing ran
  lost,     // the cell's init died unasked
};

// From spawnd: the cell runs (with the pidfd of its init), or its whole process tree is gone. The
// second form is also what a cell's init leaves behind in its status pipe.
struct CellStarted {
  std::uint64_t cell = 0;
};
struct CellGone {
  std::uint64_t cell = 0;
  CellEnd end = CellEnd::unset;
  std::int32_t value = 0;
  Code code = Code::ok;
  std::string field, got;
  std::uint64_t cpu_ms = 0;  // of the whole cell, as the kernel counted it; set by spawnd
};
using News = std::variant<CellStarted, CellGone>;

// The values in memory that nobody can change any more, nor map writable.
Result<Fd> seal_values(const std::vector<authority::CallSecret>& secrets);

Bytes encode_order(const Order& order);
Result<Order> decode_order(ByteSpan bytes);  // error: message_malformed
Bytes encode_news(const News& news);
Result<News> decode_news(ByteSpan bytes);  // error: message_malformed

CellGone gone_refused(std::uint64_t cell, const Error& error);

struct Packet {
  Bytes bytes;
  std::vector<Fd> fds;
};
enum class Sent : std::uint8_t { sent, full, broken };
// The bytes are not written to; sendmsg's own type wants them so.
Sent send_packet(int socket, std::span<std::uint8_t> bytes, std::span<const int> fds);
// Empty: nothing there now. Errors: spawner_lost (closed), message_malformed (cut off).
Result<std::optional<Packet>> receive_packet(int socket);

}  // namespace taper::sandbox
