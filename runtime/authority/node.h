// A node's identity: its own keys, its record for the centre, its state's incarnation.
#pragma once

#include <string>
#include <string_view>

#include "crypto/seal.h"
#include "crypto/sign.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "store/store.h"

namespace taper::authority {

struct NodeRecord {
  std::string name;
  PublicKey sign;
  SealKey seal;
  Incarnation incarnation;
  PublicKey log_key_0;
};

// node.pub: text lines, the last a signature by the node's own key over all before
// (statement::kNode). docs/formats/keys.md. Error: node_record_malformed.
std::string write_node_record(const NodeRecord& record, const crypto::SigningKey& key);
Result<NodeRecord> parse_node_record(std::string_view text);

// Makes a node in `state`: keys/ (0700, files 0600), the store with a new incarnation, node.pub,
// tools.d. Errors: file_exists, os_failure.
Result<NodeRecord> create_node(const std::string& state, const std::string& name);
// Another life of the node in `state`, which has its keys already: an empty store with a new
// incarnation, node.pub. Errors: file_exists, os_failure, those of reading the keys.
Result<NodeRecord> renew_node(const std::string& state, const NodeRecord& old);
// Reads and checks node.pub. Errors: not_a_state, node_record_malformed.
Result<NodeRecord> read_node(const std::string& state);

// The secret half of `record.seal`, from keys/seal.key; the process can no longer be dumped.
// Errors: those of crypto::read_secret_file, key_file_malformed.
Result<crypto::UnsealingKey> read_unsealing_key(const std::string& state, const NodeRecord& record);

// The secret half of `node`, from keys/node.key, for answering sessions; the process can no longer
// be dumped. Errors: those of crypto::read_key_file.
Result<crypto::SigningKey> read_signing_key(const std::string& state, const PublicKey& node);

// First line of every checkpoint of this node.
std::string log_origin(const NodeRecord& record);

}  // namespace taper::authority
