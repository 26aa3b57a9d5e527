#include "runtime/sandbox/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace taper::sandbox {
namespace {

enum class Tag : std::uint8_t { unset, beat, cell, kill, started, gone };

void write_trees(ByteWriter& out, const std::vector<authority::GrantedTree>& trees) {
  out.u32(static_cast<std::uint32_t>(trees.size()));
  for (const authority::GrantedTree& tree : trees) {
    out.text(tree.path).u8(tree.directory ? 1 : 0).u8(tree.writable ? 1 : 0);
    out.u8(tree.program ? 1 : 0);
  }
}

std::vector<authority::GrantedTree> read_trees(ByteReader& in, std::size_t most) {
  std::vector<authority::GrantedTree> trees;
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; in.ok() && i < count && i <= most; ++i) {
    authority::GrantedTree tree;
    tree.path = in.text(limits::kTextBytesMax);
    tree.directory = in.u8() == 1;
    tree.writable = in.u8() == 1;
    tree.program = in.u8() == 1;
    trees.push_back(std::move(tree));
  }
  return trees;
}

void write_cell(ByteWriter& out, const CellOrder& order) {
  out.u8(static_cast<std::uint8_t>(Tag::cell)).u64(order.cell);
  out.u8(static_cast<std::uint8_t>(order.kind)).i64(order.deadline_boot_ms);
  out.u64(order.caps.output_bytes).u64(order.caps.memory_bytes);
  out.u32(order.caps.processes).u64(order.caps.cpu_s);
  write_trees(out, order.trees);
  out.u32(static_cast<std::uint32_t>(order.argv.size()));
  for (const std::string& word : order.argv) out.text(word);
  out.u32(static_cast<std::uint32_t>(order.env.size()));
  for (const std::string& word : order.env) out.text(word);
  out.u32(static_cast<std::uint32_t>(order.secrets.size()));
  for (const SecretFile& secret : order.secrets) out.text(secret.name).u32(secret.bytes);
  write_trees(out, order.entry);
}

CellOrder read_cell(ByteReader& in) {
  CellOrder order;
  order.cell = in.u64();
  order.kind = static_cast<authority::ToolKind>(in.u8());
  order.deadline_boot_ms = in.i64();
  order.caps.output_bytes = in.u64();
  order.caps.memory_bytes = in.u64();
  order.caps.processes = in.u32();
  order.caps.cpu_s = in.u64();
  order.trees = read_trees(in, limits::kTreesMax);
  const std::uint32_t words = in.u32();
  for (std::uint32_t i = 0; in.ok() && i < words && i <= limits::kArgvWordsMax; ++i) {
    order.argv.push_back(in.text(limits::kArgvBytesMax));
  }
  const std::uint32_t names = in.u32();
  for (std::uint32_t i = 0; in.ok() && i < names && i <= limits::kToolEnvMax; ++i) {
    order.env.push_back(in.text(limits::kToolEnvBytesMax));
  }
  const std::uint32_t secrets = in.u32();
  for (std::uint32_t i = 0; in.ok() && i < secrets && i <= limits::kSecretsMax; ++i) {
    std::string name = in.text(limits::kSecretNameBytesMax);
    order.secrets.push_back({std::move(name), in.u32()});
  }
  order.entry = read_trees(in, limits::kEntryFilesMax);
  return order;
}

bool within_limits(const CellOrder& order) {
  const bool builtin = order.kind == authority::ToolKind::builtin;
  const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  const auto is_path = [&](const std::string& path) {
    return !path.empty() && path.front() == '/' && !has_nul(path);
  };
  const bool scripts = order.kind == authority::ToolKind::upstream ||  // may be among its words
                       order.kind == authority::ToolKind::agent;
  return order.kind >= authority::ToolKind::builtin && order.kind <= authority::ToolKind::agent &&
         order.trees.size() <= limits::kTreesMax && order.argv.size() <= limits::kArgvWordsMax &&
         builtin == order.argv.empty() && (!builtin || order.secrets.empty()) &&
         order.secrets.size() <= limits::kSecretsMax &&
         std::ranges::all_of(order.secrets,
                             [&](const SecretFile& secret) {
                               const bool plain = !secret.name.empty() &&
                                                  secret.name.front() != '.' &&
                                                  secret.name.find('/') == std::string::npos &&
                                                  !has_nul(secret.name);
                               return plain && secret.bytes <= limits::kSecretBytesMax;
                             }) &&
         std::ranges::none_of(order.argv, has_nul) && (!builtin || order.env.empty()) &&
         order.env.size() <= limits::kToolEnvMax && std::ranges::none_of(order.env, has_nul) &&
         std::ranges::all_of(order.trees,
                             [&](const authority::GrantedTree& tree) {
                               return is_path(tree.path) && !(tree.program && tree.writable);
                             }) &&
         order.entry.size() <= (scripts ? limits::kEntryFilesMax : 0) &&
         std::ranges::all_of(order.entry, [&](const authority::GrantedTree& file) {
           return is_path(file.path) && !file.directory && !file.writable;
         });
}

CellGone read_gone(ByteReader& in) {
  CellGone gone;
  gone.cell = in.u64();
  gone.end = static_cast<CellEnd>(in.u8());
  gone.value = static_cast<std::int32_t>(in.u32());
  gone.code = static_cast<Code>(in.u16());
  gone.field = in.text(limits::kCellNewsBytesMax);
  gone.got = in.text(limits::kCellNewsBytesMax);
  gone.cpu_ms = in.u64();
  return gone;
}

Error malformed(const char* what) {
  return Error(Code::message_malformed, {.field = what, .expected = "", .got = "", .fix = ""});
}

void take_fds(msghdr& header, std::vector<Fd>& out) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      out.emplace_back(fd);
    }
  }
}

}  // namespace

Bytes encode_order(const Order& order) {
  ByteWriter out;
  if (const auto* cell = std::get_if<CellOrder>(&order)) {
    write_cell(out, *cell);
  } else if (const auto* kill = std::get_if<KillOrder>(&order)) {
    out.u8(static_cast<std::uint8_t>(Tag::kill));
    out.u32(static_cast<std::uint32_t>(kill->cells.size()));
    for (const std::uint64_t id : kill->cells) out.u64(id);
  } else {
    out.u8(static_cast<std::uint8_t>(Tag::beat));
  }
  return std::move(out).bytes();
}

Result<Order> decode_order(ByteSpan bytes) {
  ByteReader in(bytes);
  const Tag tag = static_cast<Tag>(in.u8());
  Order order;
  if (tag == Tag::cell) {
    order = read_cell(in);
    if (!within_limits(std::get<CellOrder>(order))) return malformed("cell order");
  } else if (tag == Tag::kill) {
    KillOrder kill;
    const std::uint32_t count = in.u32();
    for (std::uint32_t i = 0; in.ok() && i < count; ++i) kill.cells.push_back(in.u64());
    order = std::move(kill);
  } else if (tag != Tag::beat) {
    return malformed("order");
  }
  if (!in.done()) return malformed("order");
  return order;
}

Bytes encode_news(const News& news) {
  ByteWriter out;
  if (const auto* started = std::get_if<CellStarted>(&news)) {
    out.u8(static_cast<std::uint8_t>(Tag::started)).u64(started->cell);
  } else if (const auto* gone = std::get_if<CellGone>(&news)) {
    const auto cut = [](const std::string& text) {
      return std::string_view(text).substr(0, limits::kCellNewsBytesMax / 4);
    };
    out.u8(static_cast<std::uint8_t>(Tag::gone)).u64(gone->cell);
    out.u8(static_cast<std::uint8_t>(gone->end)).u32(static_cast<std::uint32_t>(gone->value));
    out.u16(static_cast<std::uint16_t>(gone->code)).text(cut(gone->field)).text(cut(gone->got));
    out.u64(gone->cpu_ms);
  }
  return std::move(out).bytes();
}

Result<News> decode_news(ByteSpan bytes) {
  ByteReader in(bytes);
  const Tag tag = static_cast<Tag>(in.u8());
  News news;
  if (tag == Tag::started) {
    news = CellStarted{in.u64()};
  } else if (tag == Tag::gone) {
    news = read_gone(in);
  } else {
    return malformed("news");
  }
  if (!in.done()) return malformed("news");
  return news;
}

CellGone gone_refused(std::uint64_t cell, const Error& error) {
  return {cell, CellEnd::refused, 0, error.code(), error.detail().field, error.detail().got, 0};
}

Sent send_packet(int socket, std::span<std::uint8_t> bytes, std::span<const int> fds) {
  TAPER_ASSERT(fds.size() <= limits::kSpawnMessageFdsMax);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(limits::kSpawnMessageFdsMax * sizeof(int))>
      control{};
  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Sent::sent;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == ENOBUFS ? Sent::full : Sent::broken;
  }
}

Result<std::optional<Packet>> receive_packet(int socket) {
  const ssize_t waiting = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (waiting < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<Packet>();
  if (waiting <= 0) return Error(Code::spawner_lost);
  if (static_cast<std::size_t>(waiting) > limits::kSpawnMessageBytesMax) return malformed("size");
  Packet packet;
  packet.bytes.resize(static_cast<std::size_t>(waiting));
  alignas(cmsghdr) std::array<char, CMSG_SPACE(limits::kSpawnMessageFdsMax * sizeof(int))>
      control{};
  iovec part{packet.bytes.data(), packet.bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0) return Error(Code::spawner_lost);
  take_fds(header, packet.fds);
  if (count != waiting || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return malformed("packet");
  }
  return std::optional<Packet>(std::move(packet));
}

}  // namespace taper::sandbox
