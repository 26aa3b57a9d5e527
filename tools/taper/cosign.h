// What other machines do with a signing request, and putting together what came back.
#pragma once

#include <string>
#include <vector>

#include "tools/taper/signer.h"

namespace taper::tools {

struct Cosign {
  std::string request, root, out, to_be_signed;
  std::string id;  // of the capsule that was shown before; empty: any
  Form form = Form::binary;
  SignerOptions signers;
};
// Shows the whole capsule, checks it against the root's limits for the signer, and signs the bytes
// shown. Without a key it only shows. Errors: those of decode_request, decode_capsule,
// check_signable.
Status cosign(const Cosign& options, Output& out);

// Writes the bytes that a signature of this payload covers, for signers with no Taper.
Status write_to_be_signed(const std::string& path, ByteSpan payload);

void report_capsule(const std::string& path, const capsules::VerifiedCapsule& capsule, Output& out);

}  // namespace taper::tools
