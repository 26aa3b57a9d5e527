#include "tools/taper/zsp_ends.h"

namespace taper::tools {
namespace {

constexpr const char* kHour = "window = { for = \"1h\" }\n";
constexpr const char* kMinute = "lease = { ttl = \"1m\" }\n";
constexpr std::int64_t kWindowClosed = 404;

std::string usual(const std::string& more = "") { return std::string(kHour) + kMinute + more; }

std::string step(const std::string& tool) {
  return "{ id = \"middle\", tool = \"" + tool + "\", args = {} }";
}

std::string append_step(const std::string& id, const std::string& path) {
  return "  { id = \"" + id + "\", tool = \"file.append\", args = { path = \"" + path +
         "\", content = \"x\" } },\n";
}

std::string plain_grant(const ZspBench& bench, const std::string& tool) {
  return "[[grant]]\ntool = \"" + tool + "\"\neffect = \"read\"\ndigest = \"" + bench.digest(tool) +
         "\"\n";
}

}  // namespace

std::vector<EndCase> end_cases() {
  const std::string forbidden =
      "{ id = \"middle\", tool = \"file.read\", args = { path = \"/etc/passwd\" } }";
  return {
      {.name = "completed",
       .terms = usual(),
       .middle = "",
       .state = "completed",
       .reason = "completion"},
      {.name = "failed",
       .terms = usual("end_on = { failure = true }\n"),
       .middle = step("fail"),
       .state = "failed",
       .reason = "failure"},
      {.name = "refused-step",
       .terms = usual(),
       .middle = forbidden,
       .state = "failed",
       .reason = "step_denied"},
      {.name = "ttl",
       .terms = std::string(kHour) + "lease = { ttl = \"3s\" }\n",
       .middle = step("stay"),
       .state = "expired",
       .reason = "ttl"},
      {.name = "idle",
       .terms = std::string(kHour) +
                "lease = { ttl = \"1m\", idle = \"1s\" }\nend_on = { completion = false }\n",
       .middle = "",
       .state = "expired",
       .reason = "idle"},
      {.name = "window",
       .terms = std::string("window = { for = \"6s\" }\n") + kMinute,
       .middle = step("stay"),
       .state = "expired",
       .reason = "window",
       .again = kWindowClosed},
      {.name = "cancelled",
       .terms = usual(),
       .middle = step("stay"),
       .state = "cancelled",
       .reason = "cancelled"},
      {.name = "killed",
       .terms = usual(),
       .middle = step("stay"),
       .state = "revoked",
       .reason = "operator_kill"},
      {.name = "exhausted",
       .terms = usual(),
       .acts = 1,
       .middle = "",
       .state = "exhausted",
       .reason = "budget"},
      {.name = "denials",
       .terms = usual("end_on = { denials = 1 }\n"),
       .middle = forbidden,
       .state = "revoked",
       .reason = "denials"},
      {.name = "violation",
       .terms = usual(),
       .middle = step("break"),
       .state = "revoked",
       .reason = "violation"},
      {.name = "drift",
       .terms = usual(),
       .middle = step("drift"),
       .state = "revoked",
       .reason = "drift"},
  };
}

EndCase plain_case(const std::string& name, const std::string& middle) {
  return {.name = name, .terms = usual(), .middle = middle, .state = "", .reason = ""};
}

std::string source_of(const EndCase& end, const ZspBench& bench, const std::string& reader) {
  const std::string path = bench.directory() + "/effects/" + end.name;
  const std::string one_file = "path = { equals = \"" + path + "\" }";
  std::string out =
      "[capsule]\npurpose = \"Act, end, and try to go on: " + end.name +
      "\"\nrequester = \"user:zsp-check@taper.example\"\nagent = \"zsp-check\"\n" + end.terms +
      "delegation = { max_depth = 1 }\nresult = { readers = [\"" + reader +
      "\"], retention = \"1h\", reads = 1 }\n\n[[grant]]\nid = \"act\"\ntool = \"file.append\"\n"
      "args = { " +
      one_file + ", content = \"any\" }\nbudget = { calls = " + std::to_string(end.acts) + " }\n\n";
  for (const char* tool : {"stay", "fail", "break", "drift"}) out += plain_grant(bench, tool);
  out += "[[grant]]\ntool = \"slow\"\neffect = \"write\"\ndigest = \"" + bench.digest("slow") +
         "\"\nargs = { " + one_file + " }\nbudget = { calls = 5 }\n\n[plan]\nsteps = [\n";
  const bool slow = end.middle == "slow";
  if (!slow) out += append_step("act", path);
  if (slow)
    out += "  { id = \"act\", tool = \"slow\", args = { path = \"" + path + "\" } },\n";
  else if (end.has_next_step())
    out += "  " + end.middle + ",\n";
  if (end.has_next_step() || end.acts == 1) out += append_step("further", path);
  return out + "]\n";
}

}  // namespace taper::tools
