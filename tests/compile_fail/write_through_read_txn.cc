// expect: no member
#include "store/store.h"

using namespace taper::store;

#ifdef TAPER_CONTROL
taper::Status use(WriteTxn& txn) { return txn.put(Table::tasks, {}, {}); }
#else
taper::Status use(const ReadTxn& txn) { return txn.put(Table::tasks, {}, {}); }
#endif
