// Reads tests/vectors/*.vec: one Row for each `expect:` line.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace taper::testing {

struct Row {
  std::string where;  // "values.vec:12"
  std::map<std::string, std::string> given;
  std::string verdict, rest;
};
// Asserts that the file is there and has the form that tests/vectors/README.md describes.
std::vector<Row> vector_rows(const std::string& source_dir, const std::string& name);

}  // namespace taper::testing
