// Files that a verb writes at a path its user named. Replacing is by name, so a wrong word on the
// command line could take a key, a node's state or a device node away for good.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace taper::tools {

enum class FileKind {
  capsule,
  request,
  signature,
  to_be_signed,
  root,
  next_root,  // replaces none: nodes that have the version there take no other of its number
  log,
  note,
  receipt,
  time,
  time_challenge,
  order,
  release
};

struct WrittenFile {
  std::string option;  // that named it
  std::string path;
  FileKind kind;
};

// That each may be written: there is nothing yet, or a regular file that is empty or begins as its
// kind does, outside every node's state, and neither one of `inputs` nor another of `files`. Inputs
// that name no file are passed over. Errors, with the option as the field: file_exists; usage where
// nothing is there yet.
Status check_written(const std::vector<WrittenFile>& files, const std::vector<std::string>& inputs);

}  // namespace taper::tools
