// Stores for tests: an identity, a state on disk or in memory, and what an auditor trusts of it.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "crypto/crypto.h"
#include "store/audit_verify.h"
#include "store/store.h"
#include "tests/support/scratch_directory.h"

namespace taper::testing {

inline const bool kCryptoReady = crypto::initialise().ok();

// A node's keys and names, as far as a store is concerned.
struct StoreIdentity {
  PublicKey node = crypto::random_id<PublicKey>();
  Incarnation incarnation = crypto::random_id<Incarnation>();
  PublicKey log_key_0;

  store::StateIdentity state() const {
    return {incarnation, "taper/" + node.hex() + "/" + incarnation.hex()};
  }
  store::LogTrust trust() const { return {node, incarnation, log_key_0, std::nullopt}; }
};

// A state on disk that is closed and opened again at will.
class DiskState {
 public:
  DiskState() {
    store::LogSeed seed = store::LogSeed::generate();
    identity.log_key_0 = seed.key().public_key();
    REQUIRE(store::create_state(path(), identity.state(), std::move(seed)).ok());
  }
  store::StateOptions options(bool read_only) const {
    return {.directory = path(), .origin = identity.state().origin, .read_only = read_only};
  }
  std::string path() const { return directory / "state"; }
  std::string operator/(const std::string& name) const { return path() + "/" + name; }
  std::unique_ptr<store::Store> open() const {
    auto opened = store::open_state(options(false));
    INFO((opened.ok() ? std::string() : to_line(opened.error())));
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
  Code open_code(bool read_only = false) const {
    return store::open_state(options(read_only)).code();
  }

  ScratchDirectory directory;
  StoreIdentity identity;
};

inline std::unique_ptr<store::Store> memory_store() {
  StoreIdentity identity;
  return store::open_memory(identity.state(), store::LogSeed::generate());
}

}  // namespace taper::testing
