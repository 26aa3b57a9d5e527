#include "tools/taper/answers/holdings.h"

#include "capsules/author/words.h"
#include "crypto/key_file.h"
#include "runtime/base/clock.h"
#include "runtime/base/text.h"
#include "tools/taper/command.h"
#include "tools/taper/task_show.h"

namespace taper::tools {
namespace {

using authority::BudgetLeft;
using authority::TaskView;

std::string verb_words(const Holding& holding) {
  std::string out;
  for (const capsules::Verb verb : holding.verbs)
    out += (out.empty() ? "" : ", ") + std::string(capsules::word(verb));
  return out;
}

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& one : list) out += (out.empty() ? "" : ", ") + escape_text(one);
  return out;
}

// What it comes to now: "call", "discover only", "other verbs only" or "nothing".
std::string can_words(const Holding& holding) {
  const std::string& standing = holding.standing;
  if (standing == "stopped" || standing == "refused" || standing == "shut" || standing == "spent")
    return "nothing";
  if (holding.may(capsules::Verb::call)) return "call";
  return holding.may(capsules::Verb::discover) ? "discover only" : "other verbs only";
}

std::string why_not(const Holding& holding) {
  if (holding.standing == "stopped") return stopped_words(*holding.task);
  if (holding.standing == "refused") return "refused by the node's own policy, node.toml";
  if (holding.standing == "shut") return "shut by the label " + escape_text(holding.shut_by);
  if (holding.standing == "spent") return "a budget of it is spent";
  if (holding.standing == "waits") return "waits for a call of " + joined(holding.waits_for);
  return {};
}

std::string left_words(const BudgetLeft& left) {
  std::string out;
  const auto part = [&out](const std::optional<std::int64_t>& count, const char* unit) {
    if (count) out += (out.empty() ? "" : ", ") + std::to_string(*count) + unit;
  };
  part(left.calls, " calls");
  part(left.rate, " calls at once");
  part(left.bytes, " bytes");
  part(left.cpu_ms, " ms of processor time");
  part(left.sum, " of the sum");
  return out.empty() ? "no budget: lease and log quota bound it" : out + " left";
}

void say(const Holding& holding, Output& out) {
  const TaskView& task = *holding.task;
  const std::string can = can_words(holding);
  out.line(coloured(can, can == "call" ? kGreen : kYellow) + "  " + escape_text(task.agent) +
           " for " + escape_text(task.requester) + ": " + escape_text(task.purpose));
  out.line("  task     " + task.task.hex() + ", holder " +
           crypto::public_key_text(holding.chain->holder));
  out.line("  grant    " + escape_text(holding.grant) +
           (holding.grant == holding.root_grant ? "" : " of " + escape_text(holding.root_grant)) +
           ": " + verb_words(holding));
  const std::string why = why_not(holding);
  if (!why.empty()) out.line("  now      " + why);
  out.line("  with     " + rule_words(holding.args));
  out.line("  budget   " + left_words(holding.left));
  out.line("  until    " + format_utc_s(holding.until_s) + " (" +
           format_duration_ms(holding.lease_left_ms) + " of the lease left)");
}

capsules::Value maybe(const std::optional<std::int64_t>& count) {
  return count ? capsules::Value(*count) : capsules::Value();
}

capsules::Value holding_value(const Holding& holding) {
  const TaskView& task = *holding.task;
  capsules::Array verbs, args, waits;
  for (const capsules::Verb verb : holding.verbs) verbs.emplace_back(capsules::word(verb));
  for (const capsules::ArgRule& rule : holding.args) args.push_back(text_value(rule_words({rule})));
  for (const std::string& grant : holding.waits_for) waits.push_back(text_value(grant));
  return capsules::Object{{"can", can_words(holding)},
                          {"task", task.task.hex()},
                          {"agent", text_value(task.agent)},
                          {"requester", text_value(task.requester)},
                          {"purpose", text_value(task.purpose)},
                          {"tenant", text_value(task.tenant)},
                          {"capsule", task.capsule.hex()},
                          {"chain", holding.chain->chain.hex()},
                          {"holder", crypto::public_key_text(holding.chain->holder)},
                          {"tool", text_value(holding.tool)},
                          {"grant", text_value(holding.grant)},
                          {"root_grant", text_value(holding.root_grant)},
                          {"verbs", std::move(verbs)},
                          {"standing", holding.standing},
                          {"waits_for", std::move(waits)},
                          {"shut_by", text_value(holding.shut_by)},
                          {"arguments", std::move(args)},
                          {"calls_left", maybe(holding.left.calls)},
                          {"rate_left", maybe(holding.left.rate)},
                          {"bytes_left", maybe(holding.left.bytes)},
                          {"cpu_ms_left", maybe(holding.left.cpu_ms)},
                          {"sum_left", maybe(holding.left.sum)},
                          {"lease_left_ms", holding.lease_left_ms},
                          {"until", format_utc_s(holding.until_s)}};
}

struct Asked {
  std::string tool, state;
};

Status answer(const Asked& options, Output& out) {
  TAPER_TRY(const std::vector<TaskView> tasks, broker::task_list(options.state));
  const OwnRules own = own_rules(options.state, broker::own_policy(options.state));
  const std::vector<Holding> found = who_can(tasks, own, options.tool);
  capsules::Array list;
  for (const Holding& holding : found) {
    say(holding, out);
    list.push_back(holding_value(holding));
  }
  if (found.empty())
    out.line("nobody: no live task here has a grant of the tool named exactly " +
             escape_text(options.tool));
  out.set("tool", text_value(options.tool));
  out.set("who", std::move(list));
  return success();
}

}  // namespace

void add_who_can_verb(Command& command) {
  auto asked = std::make_shared<Asked>();
  CLI::App* verb = command.verb(&command.app, "who-can",
                                "Say who may call a tool now, with which arguments, until when",
                                "taper who-can file.write --state ./state",
                                [&command, asked] { return answer(*asked, command.out); });
  verb->add_option("TOOL", asked->tool, "The tool's name")->required();
  verb->add_option("--state", asked->state, "The node's state")->required();
}

}  // namespace taper::tools
