// expect: private
#include "store/store.h"

using namespace taper;

// A store of one's own may fail and keep what it likes, but Committed comes from Store::write
// alone.
class Double : public store::Store {
 protected:
#ifdef TAPER_CONTROL
  CommitFacts facts() { return CommitFacts{1, 1}; }
#else
  store::Committed facts() { return store::Committed(1, 1); }
#endif
};
