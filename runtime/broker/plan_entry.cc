#include "runtime/broker/plan_entry.h"

#include "runtime/authority/live_task.h"
#include "runtime/authority/profile.h"

namespace taper::broker {

Status prepare_run(const capsules::Capsule& capsule, ToolShelf& shelf) {
  if (capsule.entry == capsules::EntryKind::session)
    return Error(
        Code::entry_other,
        {.field = "entry", .expected = "a plan or an agent", .got = "a session", .fix = ""});
  if (capsule.entry == capsules::EntryKind::agent)
    TAPER_CHECK(shelf.load(capsule.agent_entry.program));
  for (const capsules::Grant& grant : capsule.grants) TAPER_CHECK(shelf.load(grant.tool));
  return success();
}

Status check_keys_hidden(const std::string& state, const capsules::VerifiedCapsule& capsule,
                         const authority::Tools& tools, const std::vector<std::string>& keys) {
  authority::NodeFacts facts;
  TAPER_CHECK(look_at_host(state, keys, facts));
  authority::Branch branch(capsule);
  TAPER_CHECK(authority::compile_profiles(branch, tools, facts.forbidden_trees));
  for (const auto& trees : branch.trees)
    if (trees) TAPER_CHECK(authority::check_mounts(*trees, facts.mount_points));
  if (capsule.root().entry == capsules::EntryKind::agent)
    TAPER_CHECK(authority::agent_trees(capsule.root().agent_entry, tools, branch.trees,
                                       facts.forbidden_trees, facts.mount_points));
  return success();
}

}  // namespace taper::broker
