#include "runtime/broker/twins.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace taper::broker {
namespace {

constexpr const char* kOfHost = "/run/taper";

// Null where it is not set. The environment is the operator's own: no tool or agent is given it.
const char* setting(const char* name) {
  return std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets one
}

// Of whoever runs this; empty: he has no session.
std::string place_of_session() {
  const char* session = setting("XDG_RUNTIME_DIR");
  return session != nullptr && *session == '/' ? std::string(session) + "/taper" : "";
}

bool is_owned(const std::string& path, uid_t owner) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == owner &&
         (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool is_there(const std::string& path, uid_t owner) {
  if (owner == ::geteuid()) (void)::mkdir(path.c_str(), S_IRWXU);
  return is_owned(path, owner);
}

}  // namespace

std::string twins_of(const std::string& state) {
  struct stat its{};
  if (::stat(state.c_str(), &its) != 0) return "";
  if (const char* chosen = setting("TAPER_RUNTIME_DIR"))
    return is_owned(chosen, its.st_uid) ? chosen : "";
  if (is_there(kOfHost, its.st_uid)) return kOfHost;
  std::string own = place_of_session();
  return !own.empty() && is_there(own, its.st_uid) ? own : "";
}

std::vector<std::string> twin_places(const std::string& state) {
  std::vector<std::string> places = {kOfHost};
  struct stat its{};
  if (::stat(state.c_str(), &its) == 0)
    places.push_back("/run/user/" + std::to_string(its.st_uid) + "/taper");
  if (std::string own = place_of_session(); !own.empty()) places.push_back(std::move(own));
  const char* chosen = setting("TAPER_RUNTIME_DIR");
  if (chosen != nullptr && *chosen != '\0') places.emplace_back(chosen);
  return places;
}

}  // namespace taper::broker
