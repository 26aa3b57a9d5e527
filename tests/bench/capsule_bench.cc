// Verifying a capsule cold (framing, signature, structure) and again through the verdict cache,
// beside one raw libsodium verification of as many bytes.
#include <sodium.h>

#include "capsules/open.h"
#include "capsules/open_cache.h"
#include "tests/bench/rows.h"
#include "tests/bench/sample.h"

namespace taper::bench {
namespace {

constexpr std::int64_t kNow = 1'795'000'000;

struct Opened {
  explicit Opened(std::size_t signatures, Size size = Size::ordinary)
      : sample(kSomeNode, kSomeIncarnation, kNow, size),
        file(sample.signed_file(1, signatures)),
        root(capsules::open_root(sample.fleet.root_file)) {}
  Sample sample;
  Bytes file;
  Result<capsules::TrustRoot> root;
};

void bench_cold(benchmark::State& state, std::size_t signatures, Size size) {
  const Opened opened(signatures, size);
  for (auto _ : state) {
    const auto capsule = capsules::open(opened.file, *opened.root);
    if (!capsule.ok()) state.SkipWithError(to_line(capsule.error()).c_str());
  }
}

void bench_cached(benchmark::State& state, Size size) {
  const Opened opened(1, size);
  capsules::OpenCache cache;
  for (auto _ : state) {
    const auto capsule = cache.open(opened.file, *opened.root);
    if (!capsule.ok()) state.SkipWithError(to_line(capsule.error()).c_str());
  }
}

// The payload of the root is the longest message of a chain, so this is the dearest of its
// verifications.
void bench_floor(benchmark::State& state, std::size_t signatures, Size size) {
  const Opened opened(1, size);
  const Bytes payload = opened.sample.payload(1);
  const Bytes message = crypto::pre_authentication_encoding(crypto::statement::kCapsule, payload);
  const crypto::SigningKey& issuer = opened.sample.fleet.issuer_key;
  const crypto::Signature signature = issuer.sign(crypto::statement::kCapsule, payload);
  for (auto _ : state) {
    for (std::size_t i = 0; i < signatures; ++i) {
      if (crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                      issuer.public_key().bytes.data()) != 0) {
        state.SkipWithError("the signature does not verify");
      }
    }
  }
}

std::string bytes_of(Size size) {
  return std::to_string(Sample(kSomeNode, kSomeIncarnation, kNow, size).signed_file(1).size()) +
         " bytes";
}

}  // namespace

void register_capsule() {
  for (const Size size : {Size::small, Size::ordinary}) {
    const std::string row = "verify, depth 1, " + bytes_of(size);
    add(row, Side::ours, "open, cold", "<= 1.1 x floor",
        [size](benchmark::State& state) { bench_cold(state, 1, size); });
    add(row, Side::ours, "open, cached verdict", "<= 2 us",
        [size](benchmark::State& state) { bench_cached(state, size); });
    add(row, Side::floor, "libsodium Ed25519 verify", "",
        [size](benchmark::State& state) { bench_floor(state, 1, size); });
  }
  for (const std::size_t depth : {4U, 8U}) {
    const std::string row = "verify, depth " + std::to_string(depth);
    add(row, Side::ours, "open, cold", "<= 1.1 x floor",
        [depth](benchmark::State& state) { bench_cold(state, depth, Size::small); });
    add(row, Side::floor, std::to_string(depth) + " libsodium verifications", "",
        [depth](benchmark::State& state) { bench_floor(state, depth, Size::small); });
  }
}

}  // namespace taper::bench
