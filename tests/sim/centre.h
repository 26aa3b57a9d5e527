// The centre of one fleet: its keys, the roots it has published, the capsules it has signed. What
// it sends are files, which may come never, late, twice and to whom they are not meant for.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capsules/open.h"
#include "capsules/order.h"
#include "capsules/signed_release.h"
#include "capsules/signed_time.h"
#include "crypto/sign.h"
#include "tests/sim/dice.h"

namespace taper::sim {

using Key = std::shared_ptr<const crypto::SigningKey>;

// A capsule file: the whole of a root block, or narrowed below it.
struct Chain {
  Bytes file;
  Hash hash;
  Key holder;                                   // the last
  std::optional<capsules::Block> block;         // what narrows it; empty: the root block alone
  std::map<std::string, std::int64_t> allowed;  // calls known to be allowed, by grant of its block
};

// A root block, and what the outside knows to have come of it.
struct Issued {
  capsules::Capsule said;
  Hash id;
  std::size_t node = 0;
  Key issuer;
  std::vector<Chain> chains;                               // the first is the root block's
  std::uint32_t activations = 0;                           // known to be spent
  std::map<std::string, std::int64_t> allowed;             // calls, by grant
  std::map<std::string, std::vector<std::int64_t>> times;  // of them, as the host counts its time
  bool ended_for_good = false;  // a task of it is known to be cancelled or revoked
};

// What a time key has said, to whoever asked or to everybody.
struct Told {
  Bytes file;
  std::int64_t least_s = 0;
  std::optional<capsules::TimeChallenge> answers;
};

struct Address {
  PublicKey node;
  Incarnation incarnation;
};

class Centre {
 public:
  explicit Centre(std::int64_t now_s);

  // The next root: the same issuers, or another in place of the oldest.
  void publish(std::int64_t now_s, bool replaces_issuer);
  const std::vector<Bytes>& roots() const { return roots_; }  // version 1 first
  std::uint64_t version() const { return roots_.size(); }
  std::int64_t issued_s(std::uint64_t version) const { return issued_[version - 1]; }
  // Whether root `version` lists that issuer.
  bool lists(std::uint64_t version, const Key& issuer) const;
  const Hash& fleet() const { return fleet_; }
  // The time, which is kept; an answer where there is a challenge.
  const Told& tell_time(std::int64_t now_s, std::int64_t radius_s,
                        std::optional<capsules::TimeChallenge> challenge);
  const std::vector<Told>& times() const { return times_; }
  // Signed by a revoker; forged: by an auditor. And by an auditor.
  Bytes order(const capsules::Order& order, bool forged) const;
  Bytes release(const capsules::LogRelease& release) const;

  // Signs a capsule that the dice have drawn; it is kept.
  std::size_t issue(Dice& dice, std::size_t number, const Address& to, std::int64_t now_s);
  // A plain one for that host: a lease of ten minutes, open for an hour.
  std::size_t issue_plain(std::size_t number, const Address& to, std::int64_t now_s);
  // Its holder hands it on; gives the new chain's number.
  std::size_t narrow(Dice& dice, std::size_t capsule);

  std::deque<Issued>& issued() { return capsules_; }

 private:
  capsules::Capsule blank(const Address& to, std::int64_t now_s);
  std::size_t sign(capsules::Capsule capsule, std::size_t number, const Key& key);

  Key root_key_, time_key_, revoker_, auditor_, holder_, helper_;
  std::deque<Key> issuers_;
  capsules::TrustRootData data_;
  Hash fleet_;
  std::vector<Bytes> roots_;
  std::vector<std::int64_t> issued_;
  std::vector<std::vector<Key>> listed_;
  std::vector<Told> times_;
  std::deque<Issued> capsules_;
  std::uint64_t serial_ = 0;
};

}  // namespace taper::sim
