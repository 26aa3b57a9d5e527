// What the verbs of the audit group share.
#pragma once

#include <optional>
#include <string>

#include "runtime/broker/embedded.h"
#include "tools/taper/command.h"

namespace taper::tools {

// A nonce that is given and empty is a script's unset variable, not the absence of one.
Result<std::optional<Nonce>> nonce_option(const std::optional<std::string>& text);
// Of a file node.pub. Errors: those of read_file, node_record_malformed.
Result<authority::NodeRecord> read_node_record(const std::string& path);

void add_witness_verb(Command& command, CLI::App* audit);
void add_receipt_verbs(Command& command, CLI::App* audit);

}  // namespace taper::tools
