// A whole node in a temporary folder, with the centre beside it: keys, trust root, signed capsules.
#pragma once

#include <string>
#include <vector>

#include "capsules/open.h"
#include "runtime/authority/handshake.h"
#include "runtime/broker/embedded.h"

namespace taper::testing {

// "tool" with every argument of `args` "any" except paths, which are `under` the node's data.
struct GrantFor {
  std::string tool;
  std::vector<std::string> paths;  // arguments held under the node's data folder
  std::vector<std::string> any;    // arguments of any value
  std::optional<std::int64_t> calls = std::nullopt;
  capsules::Effect effect = capsules::Effect::read;
};

class NodeForTests {
 public:
  // crypto::initialise, keys, `node init`, root imported. The state lies in the node's folder, or
  // in one of its own below `state_parent`.
  explicit NodeForTests(const std::string& state_parent = "/tmp");
  ~NodeForTests();  // removes the folders
  NodeForTests(const NodeForTests&) = delete;
  NodeForTests& operator=(const NodeForTests&) = delete;

  const std::string& folder() const { return folder_; }
  const std::string& state() const { return state_; }
  const std::string& data() const { return data_; }  // what tools may be given
  const authority::NodeRecord& record() const { return record_; }
  const Bytes& root_file() const { return root_file_; }  // what was imported
  Bytes answer(ByteSpan challenge) const;                // the centre's, by this host's clock
  Bytes order(const TaskId& task) const;                 // a revoker's, to end it
  // The auditor's, of the first `size` records of this node's log, with this root.
  Bytes release(std::uint64_t size, const TreeHash& root) const;
  Bytes next_root_file() const;  // the version after it, without the issuer of the capsules

  void write(const std::string& name, const std::string& text) const;  // in data
  std::string read(const std::string& name) const;                     // empty when absent
  std::size_t kept_results() const;                                    // result files in the state
  void put_tool(const std::string& name, const std::string& toml) const;

  capsules::Grant grant(const GrantFor& wanted) const;
  // A plan capsule for this node, open for a day, with a lease of a minute, one activation and the
  // source's defaults for `end_on`; grants and steps are the caller's.
  capsules::Capsule capsule();
  // Signs with the issuer's key and writes the file; its path.
  std::string sign(const capsules::Capsule& capsule);
  broker::RunOptions options(const std::string& capsule_path) const;
  // The capsule's holder, or another key that he may hand it on to.
  enum class As : std::uint8_t { holder, narrowed };
  // The capsule handed on by its holder, with `block`; its path. And run as that other key.
  std::string narrow(const std::string& capsule_path, capsules::Block block,
                     As to = As::narrowed) const;
  broker::RunOptions narrowed_options(const std::string& capsule_path) const;
  authority::HolderHandshake opening(const std::string& capsule_path, As as = As::holder) const;

 private:
  std::string folder_, state_folder_, state_, data_;
  crypto::SigningKey root_, issuer_, holder_, helper_, time_, revoker_, auditor_;
  capsules::TrustRootData root_data_;
  Hash fleet_;
  authority::NodeRecord record_;
  Bytes root_file_;
  Bytes sign_root(const capsules::TrustRootData& data) const;
  std::uint64_t serial_ = 0;
};

capsules::Step plan_step(std::string id, std::string tool, std::string args,
                         std::vector<std::string> needs = {},
                         capsules::OnError on_error = capsules::OnError::stop);

}  // namespace taper::testing
