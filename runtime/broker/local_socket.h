// A socket in the file system for whoever may enter its folder, in place of one that a dead owner
// left. Anything else at its path is not ours to remove.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace taper::broker {

enum class Rivals : std::uint8_t {
  excluded,  // by a lock that the caller holds: whatever socket is there is stale
  possible,  // one that somebody serves is left alone
};
struct LocalSocket {
  std::string path;  // as short as sockaddr_un wants it
  std::string name;  // for people
  int type = 0;      // SOCK_STREAM or SOCK_SEQPACKET
  mode_t mode = 0;   // of its name, which is never open to more
  int waiting = 0;   // connections that may wait to be taken
  Rivals rivals = Rivals::possible;
};
// Listening, non-blocking. Errors: os_failure, file_exists.
Result<Fd> bind_local(const LocalSocket& wanted);

// Of whoever connected; empty: unknown.
std::optional<uid_t> peer_uid(int fd);

}  // namespace taper::broker
