// Signing through ssh-agent (draft-ietf-sshm-ssh-agent): one request, one answer. The agent is only
// ever given an SSHSIG preimage, which begins with "SSHSIG" and a namespace of Taper's.
#pragma once

#include <string_view>

#include "crypto/sshsig.h"

namespace taper::tools {

// The SSHSIG blob of `message` by the agent at $SSH_AUTH_SOCK, verified. Waits up to
// limits::kAgentTimeoutMs, since somebody may have to touch or to confirm.
// Errors: agent_refused, user_unverified.
Result<Bytes> sign_with_agent(const PublicKey& key, crypto::Device device,
                              std::string_view name_space, ByteSpan message);

}  // namespace taper::tools
