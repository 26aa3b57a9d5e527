// What the framings of capsules and trust roots share. Private to this folder.
#pragma once

#include <string_view>
#include <vector>

#include "capsules/open.h"

namespace taper::capsules {

// magic · u32 length · payload · u8 n (1..8) × {key id 32, kind u8, u16 length, signature}.
struct SignedPart {
  ByteSpan payload;
  std::vector<SignatureView> signatures;
};
Result<SignedPart> read_signed_part(ByteReader& reader, std::string_view magic,
                                    std::size_t payload_max);
void write_signed_part(ByteWriter& writer, std::string_view magic, ByteSpan payload,
                       const std::vector<SignatureView>& signatures);
// Of kind 1, pointing into what is given.
std::vector<SignatureView> views(const std::vector<RootSignature>& signatures);

// Distinct keys, known kinds. Errors: signer_repeated, feature_unknown.
Status check_signers(const std::vector<SignatureView>& signatures);
// A security key signs with kind 3 alone, any other key with 1 or 2. The order in which signers are
// known does not matter, that each is does. Errors: signature_wrong, user_unverified.
Status check_signature(const PublicKey& key, crypto::Device device, std::string_view statement,
                       ByteSpan payload, const SignatureView& signature);

// What a file with one signature, by one key of a role of the trust root, must be.
struct SoleSigner {
  std::string what;  // for errors
  std::string_view magic;
  std::size_t bytes_max = 0;  // of the whole file
  std::string_view statement;
  const std::vector<PublicKey>& keys;
  Code others = Code::unset;  // the refusal of any other key
  std::string signer;         // which is expected, for that
};
struct SoleSignature {
  ByteSpan payload;  // of the file; verified
  KeyId signer;
};
// Errors: too_large, envelope_malformed, feature_unknown, `others`, signature_wrong.
Result<SoleSignature> open_sole_signature(ByteSpan file, const SoleSigner& wanted);

}  // namespace taper::capsules
