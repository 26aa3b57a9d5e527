#include "crypto/key_file.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/command.h"
#include "tools/taper/signer.h"
#include "tools/taper/source.h"

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

Status import_root(const Import& options, Output& out) {
  std::optional<Hash> fleet;
  if (!options.fleet.empty()) {
    fleet = Hash::from_hex(options.fleet);
    if (!fleet) return usage_error("--fleet", "64 hex digits", options.fleet);
  }
  TAPER_TRY(const Bytes file, read_signed(options.file, kRootLabel));
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

  auto import = std::make_shared<Import>();
  CLI::App* bring =
      command.verb(&command.app, "import", "Take in a trust root; the first pins this node's fleet",
                   "taper import --state ./state root.tpr --fleet 1f0c…",
                   [&command, import] { return import_root(*import, command.out); });
  bring->add_option("FILE", import->file, "The trust root")->required();
  bring->add_option("--state", import->state, "The node's state")->required();
  bring->add_option("--fleet", import->fleet, "Refuse a root of any other fleet (64 hex digits)");
}

}  // namespace taper::tools
