#include "capsules/order.h"
#include "capsules/signed_release.h"
#include "capsules/signed_time.h"
#include "crypto/key_file.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "store/audit_verify.h"
#include "tools/taper/audit.h"
#include "tools/taper/command.h"
#include "tools/taper/mapped_file.h"
#include "tools/taper/order_text.h"
#include "tools/taper/signer.h"
#include "tools/taper/source.h"
#include "tools/taper/time_text.h"

namespace taper::tools {
namespace {

struct NewNode {
  std::string state;
  std::string name = "node";
};

struct Import {
  std::string state, file, fleet;
};

Status node_init(const NewNode& options, Output& out) {
  TAPER_TRY(const authority::NodeRecord record, broker::node_init(options.state, options.name));
  const std::string key = crypto::public_key_text(record.sign);
  out.line("node " + escape_text(record.name) + " " + key);
  out.line("give " + escape_text(options.state) + "/node.pub to the centre");
  out.set("name", text_value(record.name));
  out.set("key", key);
  out.set("incarnation", record.incarnation.hex());
  out.set("record", text_value(options.state + "/node.pub"));
  return success();
}

Status import_time(const Import& options, ByteSpan file, Output& out) {
  TAPER_CHECK(broker::import_time(options.state, file));
  TAPER_TRY(const authority::TimeReport report, broker::time_report(options.state));
  show_time(report, out);
  out.set("time", time_value(report));
  return success();
}

Status import_release(const Import& options, ByteSpan file, Output& out) {
  TAPER_TRY(const store::LogFloor before, broker::log_floor(options.state));
  TAPER_TRY(const store::LogFloor floor, broker::import_release(options.state, file));
  const std::string released = std::to_string(floor.released);
  out.line(floor.released == before.released
               ? "nothing new: the first " + released + " records were released before"
               : "released: the first " + released + " records");
  out.line("of those the first " + std::to_string(floor.kept) + " are forgotten" +
           (floor.kept < floor.released ? "; the others go when no live task, nor kept result, "
                                          "stands in them"
                                        : ""));
  out.set("released", static_cast<std::int64_t>(floor.released));
  out.set("forgotten", static_cast<std::int64_t>(floor.kept));
  out.set("new", floor.released != before.released);
  return success();
}

// What the text form says that it is; a trust root where it does not.
std::string_view label_of(std::string_view said) {
  for (const std::string_view label : {kTimeLabel, kOrderLabel, kReleaseLabel})
    if (said.starts_with("-----BEGIN TAPER " + std::string(label) + "-----")) return label;
  return kRootLabel;
}

Status import_file(const Import& options, Output& out) {
  std::optional<Hash> fleet;
  if (!options.fleet.empty()) {
    fleet = Hash::from_hex(options.fleet);
    if (!fleet) return usage_error("--fleet", "64 hex digits", options.fleet);
  }
  TAPER_TRY(const Bytes said, read_file(options.file, limits::kArmourBytesMax));
  TAPER_TRY(const Bytes file, read_signed(options.file, label_of(as_text(said))));
  if (capsules::is_signed_time(file)) return import_time(options, file, out);
  if (capsules::is_order(file)) return import_order(options.state, file, out);
  if (capsules::is_release(file)) return import_release(options, file, out);
  TAPER_TRY(const broker::Imported imported, broker::import_root(options.state, file, fleet));
  out.line("root " + std::to_string(imported.version) + " of fleet " + imported.fleet.hex() +
           (imported.first ? " (this node now belongs to it)" : ""));
  if (imported.first && !fleet)
    out.line("compare the fleet with the centre's, or import with --fleet HASH");
  out.set("version", static_cast<std::int64_t>(imported.version));
  out.set("fleet", imported.fleet.hex());
  out.set("first", imported.first);
  return success();
}

// An old log of which something was released continues the centre's archive.
std::string how_to_verify(const std::string& log) {
  const auto file = MappedFile::open(log, limits::kLogFileBytesMax);
  const auto front = file.ok() ? store::read_log_front(file->bytes()) : Error(file.error());
  if (!front.ok() || front->first == 0) return ": verify it with the node.pub there";
  return ", from record " + std::to_string(front->first) +
         " on: verify it behind the archive's files before it, with the node.pub there";
}

Status node_renew(const std::string& state, Output& out) {
  TAPER_TRY(const broker::Renewed renewed, broker::node_renew(state));
  const std::string incarnation = renewed.record.incarnation.hex();
  if (renewed.finished_earlier) out.line("an earlier renewal was finished; nothing else was done");
  out.line("node " + escape_text(renewed.record.name) + " " +
           crypto::public_key_text(renewed.record.sign) + " is incarnation " + incarnation);
  out.line((renewed.finished_earlier ? "live tasks: ended by the earlier renewal"
            : renewed.unread         ? "live tasks: unknown, the store was not read"
                                     : "ended " + std::to_string(renewed.ended) + " live tasks") +
           "; every capsule for incarnation " + renewed.before.hex() + " is refused");
  if (renewed.unread)
    out.line("the old store was not taken up: " + escape_text(to_line(*renewed.unread)));
  out.line("the old state lies in " + escape_text(renewed.aside) +
           (renewed.exported ? ", its log as log.tpa" + how_to_verify(renewed.aside + "/log.tpa")
                             : ", its log not exported") +
           "; it has no keys any more");
  out.line("give " + escape_text(state) + "/node.pub to the centre anew");
  if (renewed.roots == 0 && !renewed.finished_earlier)
    out.line("no trust root: import every version again, with --fleet HASH");
  out.set("name", text_value(renewed.record.name));
  out.set("key", crypto::public_key_text(renewed.record.sign));
  out.set("incarnation", incarnation);
  out.set("before", renewed.before.hex());
  const bool counted = !renewed.finished_earlier && !renewed.unread;
  out.set("ended",
          counted ? capsules::Value(static_cast<std::int64_t>(renewed.ended)) : capsules::Value());
  out.set("roots", static_cast<std::int64_t>(renewed.roots));
  out.set("exported", renewed.exported);
  out.set("unread", renewed.unread ? error_value(*renewed.unread) : capsules::Value());
  out.set("finished_earlier", renewed.finished_earlier);
  out.set("aside", text_value(renewed.aside));
  out.set("record", text_value(state + "/node.pub"));
  return success();
}

}  // namespace

void add_node_verbs(Command& command) {
  CLI::App* node = command.group("node", "This host as a node");
  auto init = std::make_shared<NewNode>();
  CLI::App* make = command.verb(
      node, "init", "Make a node: its keys, its empty state and its public record node.pub",
      "taper node init --state ./state --name edge-7",
      [&command, init] { return node_init(*init, command.out); });
  make->add_option("--state", init->state, "A directory that does not hold a state yet")
      ->required();
  make->add_option("--name", init->name, "A name for people")->capture_default_str();

  auto renewed = std::make_shared<std::string>();
  CLI::App* renew = command.verb(
      node, "renew", "Make a new incarnation with the same keys: all authority of the old is gone",
      "taper node renew --state ./state",
      [&command, renewed] { return node_renew(*renewed, command.out); });
  renew->add_option("--state", *renewed, "The node's state; its parent must be writable")
      ->required();

  auto taken = std::make_shared<Import>();
  CLI::App* bring = command.verb(&command.app, "import",
                                 "Take in a trust root, of which the first pins this node's fleet, "
                                 "a signed time, an order, or "
                                 "a release of the log",
                                 "taper import --state ./state root.tpr --fleet 1f0c…",
                                 [&command, taken] { return import_file(*taken, command.out); });
  bring
      ->add_option("FILE", taken->file,
                   "The trust root, the signed time, the order, or the release")
      ->required();
  bring->add_option("--state", taken->state, "The node's state")->required();
  bring->add_option("--fleet", taken->fleet, "Refuse a root of any other fleet (64 hex digits)");
}

}  // namespace taper::tools
