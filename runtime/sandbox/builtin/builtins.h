// The builtin tools over the trees of one cell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/authority/permit.h"
#include "runtime/base/file.h"
#include "runtime/base/result.h"
#include "runtime/sandbox/builtin/message.h"

namespace taper::sandbox {

// The granted trees, held open from construction on. Every open stays beneath its tree and follows
// no symbolic link.
class GrantedTrees {
 public:
  explicit GrantedTrees(const std::vector<authority::GrantedTree>& trees);

  // Opens with openat2; `flags` gain O_CLOEXEC, O_NOCTTY and O_NONBLOCK. Errors: tool_failed with
  // the path as field and the system's answer as got; also where no tree holds the path.
  Result<Fd> open(const std::string& path, int flags, unsigned mode = 0) const;
  // The directory that holds `path`, which must lie in a granted directory, not be one itself.
  Result<Fd> open_parent(const std::string& path) const;
  // Whether the path's directory lies in a granted directory too.
  bool has_parent(const std::string& path) const;

 private:
  struct Tree {
    authority::GrantedTree grant;
    Fd fd;  // of a directory; empty for a single file
  };
  // The deepest tree that holds the path; null pointer: none.
  const Tree* find(std::string_view path, bool directories_only) const;
  Result<Fd> open_in(const Tree& tree, const std::string& path, int flags, unsigned mode) const;
  std::vector<Tree> trees_;
};

// Errors: tool_failed {path, what the system said}, tool_input, too_large. A failed file.write
// leaves the old file and no temporary one; a failed file.append may have written a part.
Result<BuiltinResult> run_builtin(const GrantedTrees& trees, const BuiltinRequest& request);

Error tool_failure(const std::string& path, std::string_view why);
Error tool_failure(const std::string& path, int error_number);

// The file.write and file.append tools.
Result<BuiltinResult> write_file_atomically(const GrantedTrees& trees, const std::string& path,
                                            ByteSpan content);
Result<BuiltinResult> append_to_file(const GrantedTrees& trees, const std::string& path,
                                     ByteSpan content);

}  // namespace taper::sandbox
