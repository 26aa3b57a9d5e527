// What the verbs of the audit group share.
#pragma once

#include <optional>
#include <string>

#include "runtime/broker/embedded.h"
#include "store/audit_verify.h"
#include "tools/taper/command.h"

namespace taper::tools {

// A nonce that is given and empty is a script's unset variable, not the absence of one.
Result<std::optional<Nonce>> nonce_option(const std::optional<std::string>& text);
// Of a file node.pub. Errors: those of read_file, node_record_malformed.
Result<authority::NodeRecord> read_node_record(const std::string& path);

// What is said of the recency of what was verified.
std::string recency_line(bool proven, const store::VerifiedLog& log);

void add_witness_verb(Command& command, CLI::App* audit);
void add_receipt_verbs(Command& command, CLI::App* audit);
void add_release_verb(Command& command, CLI::App* audit);

inline constexpr std::string_view kReleaseLabel = "RELEASE";

// Verifies a whole log, or its parts in order; the last answers the nonce, where there is one.
// Errors: those of store::verify_log and MappedFile.
Result<store::VerifiedLog> verify_files(const std::vector<std::string>& paths,
                                        const authority::NodeRecord& record,
                                        const std::optional<Nonce>& nonce);

}  // namespace taper::tools
