#include "tools/taper/ssh_agent.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::tools {
namespace {

constexpr std::uint8_t kSignRequest = 13;
constexpr std::uint8_t kSignResponse = 14;
constexpr std::size_t kLengthBytes = 4;

Error refused(std::string expected, std::string got) {
  return Error(
      Code::agent_refused,
      {.field = "ssh-agent", .expected = std::move(expected), .got = std::move(got), .fix = ""});
}

Bytes framed(ByteSpan bytes) {
  ByteWriter out;
  out.raw(ByteSpan(big_endian(bytes.size())).last(kLengthBytes)).raw(bytes);
  return std::move(out).bytes();
}

// A connection whose every step ends by the same deadline.
class Agent {
 public:
  static Result<Agent> connect() {
    const char* path = std::getenv("SSH_AUTH_SOCK");
    if (path == nullptr || *path == '\0') return refused("SSH_AUTH_SOCK", "not set");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t size = std::strlen(path);
    if (size >= sizeof(address.sun_path)) return refused("SSH_AUTH_SOCK", "too long a path");
    std::memcpy(address.sun_path, path, size);
    Agent agent;
    agent.fd_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    if (!agent.fd_ || ::connect(agent.fd_.get(), where, sizeof(address)) != 0)
      return refused(std::string("a socket at ") + path, std::strerror(errno));
    return agent;
  }

  Status send(ByteSpan bytes) {
    while (!bytes.empty()) {
      TAPER_CHECK(wait(POLLOUT));
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return refused("a request taken", std::strerror(errno));
      if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return success();
  }

  Result<Bytes> receive(std::size_t size) {
    Bytes out(size);
    std::size_t have = 0;
    while (have < size) {
      TAPER_CHECK(wait(POLLIN));
      const ssize_t got = ::recv(fd_.get(), out.data() + have, size - have, 0);
      if (got == 0) return refused("an answer", "the end of the connection");
      if (got < 0 && errno != EAGAIN && errno != EINTR)
        return refused("an answer", std::strerror(errno));
      if (got > 0) have += static_cast<std::size_t>(got);
    }
    return out;
  }

 private:
  Agent() = default;

  Status wait(short events) {
    const std::int64_t left = deadline_ms_ - clock_.now().boot_ms;
    pollfd one{fd_.get(), events, 0};
    const int ready = left <= 0 ? 0 : ::poll(&one, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return os_error("poll the ssh-agent", errno);
    if (ready == 0) return refused("an answer", "none in time");
    return success();
  }

  SystemClock clock_;
  std::int64_t deadline_ms_ = clock_.now().boot_ms + limits::kAgentTimeoutMs;
  Fd fd_;
};

Result<Bytes> exchange(ByteSpan request) {
  TAPER_TRY(Agent agent, Agent::connect());
  TAPER_CHECK(agent.send(framed(request)));
  TAPER_TRY(const Bytes length, agent.receive(kLengthBytes));
  std::size_t size = 0;
  for (const std::uint8_t byte : length) size = size << 8U | byte;
  if (size == 0 || size > limits::kAgentReplyBytesMax)
    return refused("1 to " + std::to_string(limits::kAgentReplyBytesMax) + " bytes",
                   std::to_string(size));
  return agent.receive(size);
}

}  // namespace

Result<Bytes> sign_with_agent(const PublicKey& key, crypto::Device device,
                              std::string_view name_space, ByteSpan message) {
  const Bytes preimage = crypto::sshsig_preimage(name_space, message);
  constexpr std::uint32_t kNoFlags = 0;
  ByteWriter request;
  request.u8(kSignRequest).raw(framed(crypto::ssh_public_key(key, device)));
  request.raw(framed(preimage)).u32(kNoFlags);
  TAPER_TRY(const Bytes reply, exchange(request.bytes()));
  if (reply.front() != kSignResponse)
    return refused("a signature of " + key.hex(), "a refusal; it may not hold that key");

  // The answer holds the signature as the end of an SSHSIG does, so the head says how it begins.
  const Bytes head = crypto::sshsig_head(key, device, name_space);
  const Bytes type = crypto::ssh_public_key(key, device);
  const std::size_t type_bytes = kLengthBytes + type[kLengthBytes - 1];
  const ByteSpan expected = ByteSpan(head).last(kLengthBytes + type_bytes + kLengthBytes);
  const ByteSpan body = ByteSpan(reply).subspan(1);
  if (body.size() < expected.size() || !std::equal(expected.begin(), expected.end(), body.begin()))
    return refused("a signature of the key's type", "another answer");
  Bytes blob = head;
  blob.insert(blob.end(), body.begin() + static_cast<std::ptrdiff_t>(expected.size()), body.end());
  const Status verified = crypto::verify_sshsig(key, device, name_space, message, blob);
  if (verified.code() == Code::signature_wrong)
    return refused("a signature that verifies", "another");
  if (!verified.ok()) return Error(verified.error());
  return blob;
}

}  // namespace taper::tools
