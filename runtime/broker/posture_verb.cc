// What a node's state says of itself, read beside whoever owns it.
#include "runtime/broker/control_client.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"

namespace taper::broker {

Result<Posture> posture(const std::string& state, const Now& now) {
  Posture out;
  TAPER_TRY(out.node, authority::read_node(state));
  out.owned = ControlTalk::with_owner(state).ok();
  const auto store = open_for_reading(state);
  if (!store.ok()) {
    out.store = store.error();
    return out;
  }
  TAPER_TRY(out.log, (*store)->log_head());
  TAPER_CHECK((*store)->read([&out](const store::ReadTxn& txn) {
    return txn.scan_back(store::Table::roots, {}, [&out](ByteSpan, ByteSpan file) {
      Result<capsules::TrustRoot> root = capsules::open_root(file);
      if (root.ok()) out.root = std::move(*root);
      return false;
    });
  }));
  TAPER_TRY(out.tasks, authority::list_tasks(**store, now));
  return out;
}

}  // namespace taper::broker
