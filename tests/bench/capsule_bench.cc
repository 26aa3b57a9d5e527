// Verifying a capsule cold (framing, signature, structure) and again through the verdict cache,
// beside one raw libsodium verification of as many bytes.
#include <sodium.h>

#include "capsules/open.h"
#include "capsules/open_cache.h"
#include "tests/bench/rows.h"
#include "tests/bench/sample.h"

namespace taper::bench {
namespace {

constexpr const char* kRow = "verify a capsule, depth 1";
constexpr std::int64_t kNow = 1'795'000'000;

struct Opened {
  Sample sample{kSomeNode, kSomeIncarnation, kNow};
  Bytes file = sample.signed_file(1);
  Result<capsules::TrustRoot> root = capsules::open_root(sample.root_file);
};

}  // namespace

void register_capsule() {
  add(kRow, Side::ours, "open, cold", "<= 1.1 x floor", [](benchmark::State& state) {
    const Opened opened;
    for (auto _ : state) {
      const auto capsule = capsules::open(opened.file, *opened.root);
      if (!capsule.ok()) state.SkipWithError(to_line(capsule.error()).c_str());
    }
  });
  add(kRow, Side::ours, "open, cached verdict", "<= 2 us", [](benchmark::State& state) {
    const Opened opened;
    capsules::OpenCache cache;
    for (auto _ : state) {
      const auto capsule = cache.open(opened.file, *opened.root);
      if (!capsule.ok()) state.SkipWithError(to_line(capsule.error()).c_str());
    }
  });
  add(kRow, Side::floor, "libsodium Ed25519 verify", "", [](benchmark::State& state) {
    const Opened opened;
    const Bytes payload = opened.sample.payload(1);
    const Bytes message = crypto::pre_authentication_encoding(crypto::statement::kCapsule, payload);
    const crypto::Signature signature =
        opened.sample.issuer.sign(crypto::statement::kCapsule, payload);
    for (auto _ : state) {
      if (crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                      opened.sample.issuer.public_key().bytes.data()) != 0) {
        state.SkipWithError("the signature does not verify");
      }
    }
  });
}

}  // namespace taper::bench
