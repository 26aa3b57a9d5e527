// expect: deleted|abstract
#include "store/store.h"

using taper::store::WriteTxn;

#ifdef TAPER_CONTROL
taper::Status use(WriteTxn& txn) { return txn.erase(taper::store::Table::tasks, {}); }
#else
struct Kept {
  WriteTxn txn;
};
Kept keep(const WriteTxn& txn) { return Kept{txn}; }
#endif
