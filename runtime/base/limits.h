// Every size, count, depth and duration that Taper enforces. Units are in the names. No other file
// states a limit as a literal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace taper::limits {

// Capsules, roots and their parts.
inline constexpr std::size_t kCapsuleBytesMax = 64 * 1024;
inline constexpr std::size_t kRootBytesMax = 64 * 1024;
inline constexpr std::size_t kSignaturesMax = 8;
inline constexpr std::size_t kSignatureBytesMax = 1024;
inline constexpr std::size_t kBlocksMax = 8;
inline constexpr std::size_t kSourceBytesMax = 256 * 1024;  // of a capsule, in TOML
// TOML, of a capsule or of a tool: parts of one dotted key, arrays and tables within each other.
inline constexpr std::size_t kTomlKeyPartsMax = 16;
inline constexpr std::size_t kTomlDepthMax = 32;
inline constexpr std::size_t kArmourBytesMax = 1024 * 1024;
inline constexpr std::size_t kFlatbufferDepthMax = 16;
inline constexpr std::size_t kFlatbufferTablesMax = 4096;
inline constexpr std::size_t kGrantsMax = 128;
inline constexpr std::size_t kArgsPerGrantMax = 64;
inline constexpr std::size_t kConstraintsPerArgMax = 16;
inline constexpr std::size_t kConstraintDepthMax = 8;
inline constexpr std::size_t kAlternativesMax = 64;  // of an any_of
// Work that the constraints of one call may take: looks at values, entries compared, bytes scanned.
inline constexpr std::size_t kConstraintStepsMax = std::size_t{1} << 22U;
// The same for finding the paths that one argument's rules name, and how many combinations of
// alternatives are tried.
inline constexpr std::size_t kPathStepsMax = std::size_t{1} << 24U;
inline constexpr std::size_t kPathCasesMax = 1024;
inline constexpr std::int64_t kDayS = 86'400;
inline constexpr std::int64_t kUtcOffsetMaxS = 14LL * 3600;
inline constexpr std::size_t kListItemsMax = 1024;
inline constexpr std::size_t kTextBytesMax = 4096;        // purpose, patterns, paths
inline constexpr std::size_t kNameBytesMax = 256;         // ids, tool and argument names
inline constexpr std::size_t kLabelsMax = 32;             // that a grant adds, or refuses after
inline constexpr std::int64_t kRateCountMax = 1'000'000;  // calls of a rate's bucket
inline constexpr std::size_t kStepsMax = 256;
inline constexpr std::size_t kNeedsMax = 32;
inline constexpr std::size_t kInputsMax = 32;
inline constexpr std::uint32_t kRetriesMax = 100;     // of one step, or of one item of it
inline constexpr std::uint32_t kForEachMax = 10'000;  // items of one step
inline constexpr std::size_t kReadersMax = 32;        // of a task's results
inline constexpr std::uint32_t kResultReadsMax = 1'000'000;
inline constexpr std::int64_t kRetentionMaxMs = 366LL * 86'400 * 1000;
inline constexpr std::size_t kSecretsMax = 16;            // of one capsule
inline constexpr std::size_t kSecretBytesMax = 8 * 1024;  // of one value
inline constexpr std::size_t kSecretNameBytesMax = 64;    // it becomes a file name
inline constexpr std::size_t kSecretBoxBytesMax = kCapsuleBytesMax;
inline constexpr std::size_t kIssuersMax = 64;
inline constexpr std::size_t kRootKeysMax = 64;  // of each role
inline constexpr std::size_t kDelegationDepthMax = kBlocksMax;
inline constexpr std::uint32_t kActivationsMax = 1'000'000;  // of one capsule
// That a node keeps, none of which is ever forgotten: in all, and by capsules of one issuer.
inline constexpr std::uint32_t kKeptActivationsMax = 1'000'000;
inline constexpr std::uint32_t kIssuerActivationsMax = 500'000;
inline constexpr std::size_t kOpenCacheEntries = 64;        // verdicts kept
inline constexpr std::int64_t kTimeMaxS = 253'402'300'799;  // the end of year 9999, UTC
inline constexpr std::size_t kChallengesMax = 128;          // given out and not yet answered
inline constexpr std::size_t kChainsMax = 64;               // that ever join one task
inline constexpr std::size_t kChainsPerBranchMax = 16;      // of one whom its holder handed it to
inline constexpr std::size_t kChainsForHolder = 16;         // of all, that no such takes
static_assert(kChainsPerBranchMax + kChainsForHolder <= kChainsMax);
// Work that comparing two capsules for people may take: pairs of constraints looked at.
inline constexpr std::size_t kDiffStepsMax = std::size_t{1} << 20U;

// Arguments and results.
inline constexpr std::size_t kArgumentBytesMax = 1024 * 1024;
inline constexpr std::size_t kJsonDepthMax = 32;
inline constexpr std::size_t kJsonNodesMax = 100'000;
inline constexpr std::size_t kResultBytesMax = 8 * 1024 * 1024;

// Durations.
inline constexpr std::int64_t kLeaseTtlMaxMs = 90LL * 86'400 * 1000;
inline constexpr std::int64_t kClockStepToleranceS = 120;
inline constexpr std::int64_t kHandleTtlMaxMs = 30LL * 86'400 * 1000;  // of one call's handle
inline constexpr std::int64_t kPersistIntervalMs = 10'000;  // active time is journalled this often
inline constexpr std::int64_t kIdlePersistMs =
    600'000;  // what is known of the time, where no task lives
inline constexpr std::int64_t kRefusalLogMs = 60'000;  // refusals before proof: one record in this
inline constexpr std::int64_t kBrokerBeatMs = 1'000;
inline constexpr std::int64_t kBrokerSilenceMs = 3'000;  // after which spawnd kills every cell
inline constexpr std::int64_t kKillConfirmMs = 5'000;
inline constexpr std::int64_t kKillLookMs = 20;  // how often an ending task's cells are looked at
inline constexpr std::int64_t kControlTimeoutMs = 5'000;
inline constexpr std::int64_t kOwnerLookMs = 250;  // whoever only reads asks a busy owner no longer
// Time that was signed.
inline constexpr std::size_t kTimeFileBytesMax = 4096;             // a challenge, a signed time
inline constexpr std::size_t kTimeNoncesMax = 16;                  // of one boot, answered or not
inline constexpr std::int64_t kTimeNonceMs = 24LL * 3600 * 1000;   // to bring the answer
inline constexpr std::int64_t kTimeAnchorMs = 24LL * 3600 * 1000;  // after which it anchors no more
inline constexpr std::int64_t kTimeRadiusMaxS = 3600;
// Orders that end a task.
inline constexpr std::size_t kOrderFileBytesMax = 4096;
inline constexpr std::size_t kOrderWhyBytesMax = 256;
// The wall clock of this boot counts in the next one's lower bound when no step of it was seen for
// so long, and only where it is not further ahead.
inline constexpr std::int64_t kWallSettledMs = 600'000;
inline constexpr std::int64_t kWallAheadS = 90LL * 86'400;
inline constexpr double kBootClockDrift = 0.001;  // believed error of CLOCK_BOOTTIME
static_assert(kBrokerSilenceMs > 2 * kBrokerBeatMs);

// A longer lease is an exception: capsule and issuer's entry in the trust root must both name it.
inline constexpr std::int64_t kLongLeaseMs = 24LL * 3600 * 1000;
inline constexpr std::int64_t kLeaseRemarkMs = 3600LL * 1000;  // lint remarks on what is longer
inline constexpr std::int64_t kLongWindowS = 7LL * 86'400;
inline constexpr std::int64_t kLongRetentionMs = 30LL * 86'400 * 1000;

// Key files.
inline constexpr std::size_t kKeyFileBytesMax = 4096;
inline constexpr std::uint64_t kKdfOpsMax = 16;
inline constexpr std::uint64_t kKdfMemBytesMax = 1024ULL * 1024 * 1024;
inline constexpr std::size_t kPassphraseBytesMax = 1024;

// ssh-agent.
inline constexpr std::size_t kAgentReplyBytesMax = 4096;
inline constexpr std::int64_t kAgentTimeoutMs = 60'000;  // somebody may have to touch or confirm

// Decisions.
inline constexpr std::size_t kBatchCallsMax = 256;              // decided in one transaction
inline constexpr std::size_t kBatchBytesMax = 4 * 1024 * 1024;  // of their arguments; one call more

// Store and audit log.
// Address space alone, of which kKeptActivationsMax with their tasks and records (~12 KB each)
// take a fifth.
inline constexpr std::size_t kStoreMapBytes = 64ULL * 1024 * 1024 * 1024;
// Disk space held ahead of what is used, so that stopping can be written on a full disk.
inline constexpr std::size_t kStoreReserveBytes = 8ULL * 1024 * 1024;
inline constexpr std::size_t kAuditRecordBytesMax = 1024 * 1024 * 2;
inline constexpr std::uint32_t kLogKeyCommits = 64;  // a log key signs this many commits
inline constexpr std::uint64_t kTaskLogQuotaBytes =
    64ULL * 1024 * 1024;  // when a capsule names none
inline constexpr std::uint32_t kStoreFormat = 6;
inline constexpr std::size_t kStoreKeyBytesMax = 511;
inline constexpr std::uint64_t kLogFileBytesMax = 4ULL * 1024 * 1024 * 1024;  // one exported log
inline constexpr std::size_t kLogOriginBytesMax = 256;
inline constexpr std::size_t kReleaseBytesMax = 4096;
// What one transaction forgets of a log: whoever waits behind it does not notice.
inline constexpr std::uint64_t kPruneRecordsMax = 512;
inline constexpr std::size_t kPruneBytesMax = 1024 * 1024;  // one record more
inline constexpr std::size_t kReceiptBytesMax = 16UL * 1024 * 1024;
inline constexpr std::size_t kWitnessFileBytesMax = 64UL * 1024 * 1024;

// Cells (tool runs), where a grant names no smaller value.
inline constexpr std::size_t kCellsMax = 64;
inline constexpr std::size_t kCellsPerTaskMax = kCellsMax / 4 * 3;
inline constexpr int kCellEventsAtOnce = 8;   // each may be a long result; more at the next look
inline constexpr std::size_t kTreesMax = 64;  // of one cell
inline constexpr std::size_t kCellOutputBytes = 4 * 1024 * 1024;  // stdout and stderr together
inline constexpr std::uint64_t kCellMemoryBytes = 1024ULL * 1024 * 1024;  // RLIMIT_DATA, a process
inline constexpr std::uint64_t kCellFileBytes = 1024ULL * 1024 * 1024;
inline constexpr std::uint64_t kCellTmpBytes = 64ULL * 1024 * 1024;
inline constexpr std::uint64_t kCellTmpInodes = 8192;
inline constexpr std::uint32_t kCellOpenFiles = 256;
inline constexpr std::uint32_t kCellProcesses = 128;  // RLIMIT_NPROC of the cell's user
inline constexpr std::uint32_t kCellPidMax = 512;     // kernel.pid_max of the pid namespace
inline constexpr std::uint64_t kCellCpuS = 3600;
inline constexpr std::uint32_t kCellUid =
    2'049'900'001;                                     // outer uid and gid of cells started by root
inline constexpr std::uint32_t kCellInnerId = 65'534;  // uid and gid inside
inline constexpr std::uint64_t kCellSecretBytes = 256 * 1024;
static_assert(kCellSecretBytes > kSecretsMax * (kSecretBytesMax + 4096));
inline constexpr std::size_t kSpawnMessageBytesMax = 400 * 1024;  // below a socket's buffer
inline constexpr std::size_t kEntryFilesMax = 16;  // of a cell's argv, as copies in it
inline constexpr std::size_t kSpawnMessageFdsMax = 4 + kEntryFilesMax;
inline constexpr std::size_t kCellNewsBytesMax = 4096;        // fits a pipe's atomic write
inline constexpr std::size_t kIdmapNamespacesMax = 64;        // kept for idmapped mounts
inline constexpr std::uint64_t kCellRootBytes = 1024 * 1024;  // directories and stand-in files
inline constexpr std::uint64_t kCellRootInodes = 4096;
inline constexpr std::uint64_t kCellPendingSignals = 512;  // queued, and timers
inline constexpr std::uint64_t kCellStackBytes = 8ULL * 1024 * 1024;
inline constexpr std::int64_t kProbeTimeoutMs = 5'000;
inline constexpr unsigned kProbeRuns = 20;  // cells; their mean is told in milliseconds
inline constexpr std::size_t kArgvWordsMax = 256;
inline constexpr std::size_t kArgvBytesMax = 128 * 1024;
inline constexpr std::size_t kProgramBytesMax = 256 * 1024 * 1024;

// Builtins.
inline constexpr std::int64_t kReadBytesDefault = 1024 * 1024;
inline constexpr std::int64_t kReadBytesMax = 4 * 1024 * 1024;
inline constexpr std::int64_t kListEntriesDefault = 1000;
inline constexpr std::int64_t kListEntriesMax = 10'000;
inline constexpr std::size_t kUpstreamDefinitionBytesMax = 64 * 1024;  // of one pinned tool
// Calls that wait for somebody's input.
inline constexpr std::size_t kInputBytesMax = 64 * 1024;  // asked, answered, or a server's state
inline constexpr std::size_t kInputRequestsMax = 16;      // of one question
inline constexpr std::int64_t kInputPlainMs = 30LL * 60 * 1000;  // that a plain call waits
inline constexpr std::size_t kBuiltinRequestBytesMax =
    kArgumentBytesMax + kUpstreamDefinitionBytesMax + 2 * kInputBytesMax + 64 * 1024;
inline constexpr std::size_t kBuiltinReplyBytesMax = kReadBytesMax + 256 * 1024;
inline constexpr std::size_t kBuiltinFieldsMax = 16;  // of a result, and of each of its rows
inline constexpr int kTemporaryNameTries = 16;

// MCP servers that are tools.
inline constexpr std::int64_t kUpstreamCallMs = 120'000;  // where a grant names no time of its own
inline constexpr std::int64_t kUpstreamGraceMs = 2'000;   // to say that the time is over
// By so much may the times at which two calls' cells would die differ, and they share one: times
// that come from the wall clock are told in whole seconds.
inline constexpr std::int64_t kUpstreamSameDeadlineMs = 1'000;
inline constexpr std::int64_t kUpstreamPinMs = 60'000;  // to start and tell its tools
inline constexpr std::size_t kUpstreamToolsMax = 256;
inline constexpr std::size_t kUpstreamPagesMax = 64;
inline constexpr std::size_t kUpstreamListBytesMax = 4 * 1024 * 1024;  // of all definitions
inline constexpr std::size_t kUpstreamLineBytesMax = kReadBytesMax + 64 * 1024;  // of its messages
inline constexpr std::size_t kUpstreamJsonDepthMax = 256;
inline constexpr std::size_t kUpstreamStrayMax = 10'000;  // messages of its own, during one call
// Progress of the call under way does not count among them: so often is it passed on at the most,
// what comes sooner is dropped, and a server that tells more in a second is ended.
inline constexpr std::int64_t kUpstreamProgressMs = 100;
inline constexpr std::size_t kUpstreamProgressPerS = 1000;
inline constexpr std::size_t kProgressFramesPerS =
    32;  // of one call; a cell that sends more is killed
inline constexpr std::size_t kProgressTextBytesMax = 512;
inline constexpr std::size_t kUpstreamMetaBytesMax = 64 * 1024;  // of a result's `_meta`
inline constexpr std::size_t kUpstreamErrShownBytes = 2048;      // the end of its stderr
inline constexpr std::size_t kUpstreamTextShownBytes = 2048;     // of a failure's text
inline constexpr std::size_t kUpstreamFilesMax = 16;             // host paths beside the grant's
inline constexpr std::size_t kUpstreamEntryBytesMax = 16 * 1024 * 1024;  // of a script in argv
inline constexpr std::size_t kUpstreamPinsBytesMax = kUpstreamListBytesMax + 64 * 1024;

// Broker.
inline constexpr std::size_t kMaskedBytesMin = 6;  // shorter secrets would mask what is harmless
inline constexpr std::size_t kMaskedLineBytesMin = 16;
// A capsule or a root, and a plan's inputs.
inline constexpr std::size_t kControlMessageBytesMax = 256 * 1024;
inline constexpr std::size_t kControlPeersMax = 16;
// Plans that run beside each other in one owner, each with a call at a time.
inline constexpr std::size_t kControlRunsMax = kCellsMax / 2;
inline constexpr std::size_t kControlKeysMax = 64;  // key files that a run's tools are not given
inline constexpr std::size_t kControlPartBytes = 64 * 1024;  // of a result, in one message
// What a peer has not read yet; above that it is cut off.
inline constexpr std::size_t kControlQueueBytesMost = kResultBytesMax + 4 * 1024 * 1024;
// Of a run, whose steps are told as they end and are short.
inline constexpr std::size_t kControlHeldQueueBytesMost = 2 * 1024 * 1024;
inline constexpr std::int64_t kControlWorkMs = 60'000;  // until an import or an activation is done
inline constexpr std::int64_t kControlPauseMs = 200;    // when no peer can be taken up for now
inline constexpr std::size_t kSessionAsksMax = 64;      // requests of one session without an answer
inline constexpr std::size_t kAgentPeersMax = 256;      // of agent.sock
inline constexpr std::size_t kAgentUnprovenMax = 32;    // of them, without a session yet
inline constexpr std::size_t kAgentSocketsMax = 2;      // agent.sock, and one more
static_assert(kAgentSocketsMax * kAgentUnprovenMax + kControlPeersMax < kChallengesMax);
inline constexpr std::size_t kAgentSessionsPerTaskMax = 32;
inline constexpr std::size_t kAgentSessionsPerBranchMax = 8;  // of one whom its holder handed it to
inline constexpr std::size_t kCallsPerTaskMax = 32;           // at once, of sessions
inline constexpr std::size_t kCallsPerBranchMax = 16;         // of one whom its holder handed it to
inline constexpr std::size_t kCallsForHolder = 8;             // of all, that no such takes
static_assert(kCallsPerBranchMax + kCallsForHolder <= kCallsPerTaskMax);
static_assert(kCallsPerTaskMax <= kCellsMax / 2);
inline constexpr std::int64_t kHandlePollMs = 1'000;  // a handle is asked about no more often
// Of reports that came, settled before others have their turn; at least one.
inline constexpr std::size_t kSettledAtOnce = 16;
inline constexpr std::size_t kSettledBytesAtOnce = 256 * 1024;
inline constexpr std::size_t kAgentRefusedPerSMax = 64;      // openings of one user looked at
inline constexpr std::int64_t kAgentOpenTimeoutMs = 10'000;  // to prove to be a holder
inline constexpr std::int64_t kAgentPauseMs = 200;           // when no peer can be taken up for now
// What a peer has not read yet: above the first its requests are not read either, above the second
// it is cut off.
inline constexpr std::size_t kAgentQueueBytesMax = 4 * 1024 * 1024;
inline constexpr std::size_t kSessionBodyBytesMax = kResultBytesMax + 64 * 1024;
// Many calls may end at once, each with a long result, before whoever reads has had a turn.
inline constexpr std::size_t kAgentQueueBytesMost = 64 * 1024 * 1024;
static_assert(kAgentQueueBytesMost > kSessionBodyBytesMax + kAgentQueueBytesMax);
inline constexpr std::size_t kAgentMessageBytesMax = kSessionBodyBytesMax + 1024;
inline constexpr std::size_t kAgentOpenBytesMax = kCapsuleBytesMax + 1024;  // until it is open
inline constexpr std::size_t kToolFilesMax = 256;
inline constexpr std::size_t kToolFileBytesMax = 64 * 1024;
// Of one node, and of their list as the centre reads it.
inline constexpr std::size_t kToolsMax = 4096;
inline constexpr std::size_t kToolListBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kMountListBytesMax = 16 * 1024 * 1024;  // of /proc/self/mountinfo
inline constexpr std::size_t kArgvGroupDepthMax = 4;
inline constexpr std::size_t kToolInputsMax = 64;
inline constexpr std::size_t kToolEnvMax = 32;             // names of one tool's environment
inline constexpr std::size_t kToolEnvBytesMax = 8 * 1024;  // with their values
inline constexpr std::size_t kToolTitleBytesMax = 128;
inline constexpr std::size_t kToolDescriptionBytesMax = 1024;
// What is told of one tool's inputs. Where a bound is met, less is told.
inline constexpr std::size_t kToolSchemaBytesMax = 16 * 1024;
inline constexpr std::int64_t kDiscoveryFreshMs = 60'000;  // a list of tools may be kept so long
inline constexpr std::size_t kToolSchemaDepthMax = 24;     // of one input's, in a message
inline constexpr std::size_t kToolSchemaWorkBytes = 256 * 1024;        // made, before it is cut
inline constexpr std::size_t kSchemaStepsMax = std::size_t{1} << 22U;  // bytes of values × of rules
inline constexpr std::size_t kSchemaWordsBytesMax = 512;               // of one text in a sentence
inline constexpr std::size_t kControlDetailBytesMax = 4096;
inline constexpr std::size_t kRunResultsShownBytes = 16 * 1024 * 1024;  // of all steps of a run
inline constexpr std::size_t kStepResultShownBytes = 64 * 1024;  // longer ones are not reported
inline constexpr std::size_t kStderrShownBytes = 4096;           // of a command, in its result

// MCP. One message is one line, whose arguments may be as long as arguments may be.
inline constexpr std::size_t kMcpLineBytesMax = kArgumentBytesMax + 128 * 1024;
inline constexpr std::size_t kAgentRequestBytesMax = kMcpLineBytesMax + 1024;  // it carries a line
inline constexpr std::size_t kMcpJsonDepthMax = kJsonDepthMax + 4;  // around the arguments
inline constexpr std::size_t kMcpMembersMax = 256;                  // of an object that is read
inline constexpr std::size_t kMcpIdBytesMax = 256;        // of a request, of a progress token
inline constexpr std::size_t kMcpNameBytesMax = 128;      // methods, tools, tasks, versions
inline constexpr std::size_t kMcpCursorBytesMax = 8192;   // twice a URI, and room
inline constexpr std::size_t kMcpInFlightMax = 64;        // requests of one connection unanswered
inline constexpr std::size_t kMcpSubscriptionsMax = 16;   // of one connection
inline constexpr std::size_t kMcpInterestsMax = 64;       // URIs, and tasks, of one subscription
inline constexpr std::size_t kMcpTasksFollowedMax = 256;  // of one connection, before 2026-07-28
inline constexpr std::size_t kMcpBatchMax = 32;
inline constexpr std::size_t kMcpPageItems = 64;  // of a list

// Trace context of a call, as W3C bounds it.
inline constexpr std::size_t kTraceStateBytesMax = 512;
inline constexpr std::size_t kTraceStateMembersMax = 32;
inline constexpr std::size_t kBaggageBytesMax = 8192;
inline constexpr std::size_t kBaggageMembersMax = 64;

// taper connect, between an MCP client and the node.
inline constexpr std::size_t kConnectQueueBytesMax =
    4 * 1024 * 1024;                                        // unread; no more is taken in
inline constexpr std::int64_t kConnectOpenMs = 10'000;      // for a session to open
inline constexpr std::int64_t kConnectPatienceMs = 10'000;  // for a node that is being restarted
inline constexpr std::int64_t kConnectPauseMinMs = 50;  // between attempts; doubled up to the most
inline constexpr std::int64_t kConnectPauseMaxMs = 1'000;
inline constexpr std::int64_t kConnectEndMs = 10'000;  // for what must still be said at the end
inline constexpr std::size_t kClientConfigBytesMax = 8 * 1024 * 1024;

}  // namespace taper::limits
