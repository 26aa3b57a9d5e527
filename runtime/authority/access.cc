// What a chain may reach beside its own calls' permits: a call's handle, and what it may discover.
#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/authority/decide.h"

namespace taper::authority {
namespace {

// How a line that ends in `leaf` stands to the call that a handle names.
struct Descent {
  bool same_chain = false;  // the chain is the maker's, or goes on from it
  bool same_line = false;   // and the line from the grant that the call was made by
  bool handed_on = false;   // and the blocks after the maker's name the verb and add no rules
};

// Every block is looked at, whatever is found.
Descent descent_of(const Branch& branch, std::size_t leaf, const HandleRecord& handle,
                   capsules::Verb verb) {
  const std::vector<capsules::Block>& blocks = branch.capsule.blocks();
  Descent out;
  bool named = false, adds_rules = false;
  for (std::size_t level = blocks.size();; --level) {
    const bool last = level == blocks.size();
    if ((last ? branch.capsule.next_previous() : blocks[level].previous) == handle.lineage) {
      const bool same_line = leaf == handle.kept;
      out = {true, same_line, same_line && named && !adds_rules};
    }
    if (level == 0) return out;
    const LiveGrant& grant = branch.levels[level][leaf];
    const bool names = std::find(grant.named.begin(), grant.named.end(), verb) != grant.named.end();
    named = named || names;
    adds_rules = adds_rules || grant.adds_rules;
    leaf = grant.parent;
  }
}

void set_line(Ruling& ruling, std::size_t leaf) {
  const std::vector<Level>& levels = ruling.branch->levels;
  ruling.depth = levels.size();
  for (std::size_t level = levels.size(); level-- > 0;) {
    ruling.line[level] = leaf;
    leaf = levels[level][leaf].parent;
  }
}

// Its calls are spent; or its bytes or time, and no call is under way that could give some back.
bool is_spent_for_good(const LiveTask& task, const BudgetLeft& left) {
  constexpr std::int64_t kLeastCpuMs = 1000;  // below it no cell starts
  const bool settled = left.bytes == 0 || left.cpu_ms.value_or(kLeastCpuMs) < kLeastCpuMs;
  return left.calls == 0 || (settled && task.running.empty());
}

}  // namespace

Status find_handle(const LiveTask& task, const AccessRequest& request, const Now& now,
                   Ruling& ruling) {
  const Branch& branch = *ruling.branch;
  CallRecord none;  // stands for a call that is not there, so that the steps are the same
  none.handle.emplace();
  const auto found = task.handles.find(request.call);
  const bool known = found != task.handles.end();
  const CallRecord& call = known ? task.calls[found->second] : none;
  const bool own = caller_of(task.chains, call.chain).holder == branch.capsule.holder();
  const std::size_t last = branch.levels.size() - 1;
  bool reached = false;
  for (std::size_t i = 0; i < branch.levels[last].size(); ++i) {
    const bool held = has_verb(branch.levels[last][i], request.verb);
    const Descent from = descent_of(branch, i, *call.handle, request.verb);
    const bool answers = request.verb == capsules::Verb::update;  // which makes it go on
    const bool mine = own && (from.same_line || (!from.same_chain && !answers));
    const bool handed_on = from.handed_on && held && !answers;
    const bool reaches = root_of(branch.levels, last, i) == call.grant && (mine || handed_on);
    // The first with the verb; where none has it, the last says so.
    if (!reaches || (reached && has_verb(grant_at(ruling, last), request.verb))) continue;
    set_line(ruling, i);
    reached = true;
  }
  const bool over = handle_left_ms(task, *call.handle, now) == 0;
  if (known && reached && !over) {
    ruling.number = found->second;
    return success();
  }
  ruling.depth = 0;
  return Error(Code::handle_unknown, {"call", "a handle of this chain", "none", ""});
}

Hash arguments_hash(const capsules::Object& arguments, const Tool& tool) {
  const std::string text = capsules::write_canonical(arguments);
  return crypto::hash({as_bytes(text), tool.digest.span()});
}

Status wants_input(const CallRecord& call) {
  if (call.state == CallState::waiting) return success();
  return Error(Code::input_unwanted,
               {"call", "one that waits for input", std::string(call_state_name(call.state)), ""});
}

Status find_waiting(const LiveTask& task, const CallRequest& request,
                    const Result<capsules::Object>& arguments, const Now& now, Ruling& ruling) {
  const AccessRequest asked{request.task, request.chain, capsules::Verb::update,
                            request.goes_on->call};
  TAPER_CHECK(find_handle(task, asked, now, ruling));
  const CallRecord& call = task.calls[ruling.number];
  Status wanted = wants_input(call);
  const capsules::Grant& grant = task.root().grants[call.grant];
  // A tool that is not as it was granted is told as that, by a later question.
  const bool granted = ruling.tool != nullptr && is_as_granted(*ruling.tool, grant).ok();
  const bool same =
      arguments.ok() && grant.tool == request.tool &&
      (!granted || arguments_hash(*arguments, *ruling.tool) == call.handle->arguments);
  if (wanted.ok() && !same)
    wanted = Error(Code::handle_unknown, {"call", "its own tool and arguments", "others", ""});
  if (!wanted.ok()) ruling.depth = 0;
  return wanted;
}

std::vector<DiscoveredGrant> discoverable(const LiveTask& task, const Branch& branch,
                                          const Tools& tools, const Now& now) {
  std::vector<DiscoveredGrant> out;
  const std::size_t last = branch.levels.size() - 1;
  for (std::size_t i = 0; i < branch.levels[last].size(); ++i) {
    const LiveGrant& leaf = branch.levels[last][i];
    const capsules::Grant& root = task.root().grants[root_of(branch.levels, last, i)];
    const auto tool = tools.find(root.tool);
    const bool there =
        tool != tools.end() && branch.trees[i] && is_as_granted(tool->second, root).ok();
    const BudgetLeft left = least_left(branch, i, now);
    const bool may_be_allowed =
        shut_by(branch.levels, last, i, task.labels).empty() && !is_spent_for_good(task, left);
    if (!there || !may_be_allowed || !has_verb(leaf, capsules::Verb::discover)) continue;
    out.push_back({i, leaf.id, &tool->second, leaf.verbs, leaf.args, {}, root.idempotency, left});
    for (std::size_t level = last + 1, at = i; level-- > 0;) {
      const LiveGrant& grant = branch.levels[level][at];
      const auto sum = budget_left(grant.budget, *grant.spent, now).sum;
      if (sum) out.back().sums.push_back({grant.budget.sum->argument, *sum});
      at = grant.parent;
    }
  }
  return out;
}

}  // namespace taper::authority
