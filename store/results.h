// Results of calls, in files of their own under DIR/results, 0600, so that erasing one erases it.
// Whoever may write there changes no result: it is compared with what was committed.
#pragma once

#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::store {

class ResultFiles {
 public:
  explicit ResultFiles(std::string state_directory);
  Status write(const TaskId& task, const CallId& call, ByteSpan bytes);  // durable on return
  // Only the bytes whose hash is `known`, which the store keeps with the call, and only from a
  // regular file. Errors: result_missing; store_corrupt for any other bytes or kind of file;
  // os_failure, store_failure.
  Result<Bytes> read(const TaskId& task, const CallId& call, const Hash& known) const;
  Status erase(const TaskId& task, const CallId& call);  // absent is fine
  Status erase_task(const TaskId& task);                 // absent is fine
  Status erase_all_but(const std::vector<TaskId>& kept);

 private:
  std::string directory_;
};

}  // namespace taper::store
