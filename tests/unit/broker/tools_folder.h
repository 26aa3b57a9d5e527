// A folder that stands for a tools.d, removed with it.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace taper::broker {

class ToolsFolder {
 public:
  ToolsFolder() {
    char name[] = "/tmp/taper-tools-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~ToolsFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  void put(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(path_ + "/" + name) << text;
    REQUIRE(::chmod((path_ + "/" + name).c_str(), mode) == 0);
  }

 private:
  std::string path_;
};

}  // namespace taper::broker
