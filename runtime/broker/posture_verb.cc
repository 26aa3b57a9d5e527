// What a node's state says of itself, read beside whoever owns it.
#include "runtime/broker/control_client.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/twins.h"

namespace taper::broker {

Result<Posture> posture(const std::string& state, const Now& now) {
  Posture out;
  TAPER_TRY(out.node, authority::read_node(state));
  out.own = own_policy(state);
  out.owned = ControlTalk::with_owner(state).ok();
  const auto store = open_for_reading(state);
  if (!store.ok()) {
    out.store = store.error();
    return out;
  }
  out.twin = store::twin_in_force(
      {.directory = state, .origin = authority::log_origin(out.node), .twins = twins_of(state)});
  TAPER_TRY(out.log, (*store)->log_head());
  Bytes root;
  TAPER_CHECK((*store)->read([&root](const store::ReadTxn& txn) {
    return txn.scan_back(store::Table::roots, {}, [&root](ByteSpan, ByteSpan file) {
      root = to_bytes(file);
      return false;
    });
  }));
  if (!root.empty()) {
    Result<capsules::TrustRoot> opened = capsules::open_root(root);
    if (!opened.ok())
      return Error(Code::store_corrupt,
                   {"newest trust root", "one that opens", to_line(opened.error()), ""});
    out.root = std::move(*opened);
  }
  TAPER_TRY(out.tasks, authority::list_tasks(**store, now, &out.own.policy));
  return out;
}

}  // namespace taper::broker
