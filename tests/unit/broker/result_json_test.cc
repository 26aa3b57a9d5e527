// What steps see of a tool's answer.
#include "runtime/broker/result_json.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "runtime/broker/outcome.h"

namespace taper::broker {
namespace {

authority::Tool command(bool json) {
  authority::Tool tool;
  tool.name = "t";
  tool.kind = authority::ToolKind::command;
  tool.json_output = json;
  return tool;
}

authority::Tool builtin() {
  authority::Tool tool;
  tool.name = "file.read";
  tool.kind = authority::ToolKind::builtin;
  return tool;
}

sandbox::RunReport wrote(std::string out, std::string err = "") {
  sandbox::RunReport report;
  report.end = sandbox::RunEnd::done;
  report.out = std::move(out);
  report.err = std::move(err);
  return report;
}

TEST_CASE("a command's text, bytes and stderr", "[broker][result]") {
  const auto text = render_result(command(false), wrote("a \"b\"\n"));
  REQUIRE(text.ok());
  CHECK(text->json == R"({"exit":0,"text":"a \"b\"\n"})");
  CHECK(text->result_bytes == 6);
  const auto bytes = render_result(command(false), wrote("\xff\xfe"));
  REQUIRE(bytes.ok());
  CHECK(bytes->json == R"({"exit":0,"base64":"//4="})");
  const auto noisy = render_result(command(false), wrote("x", "\x1b[31mred"));
  REQUIRE(noisy.ok());
  CHECK(noisy->json.find('\x1b') == std::string::npos);
  CHECK(noisy->json.find("stderr") != std::string::npos);
}

TEST_CASE("a command's JSON is canonical, and JSON it must be", "[broker][result]") {
  const auto json = render_result(command(true), wrote(" {\"b\": 1, \"a\": [true]}\n"));
  REQUIRE(json.ok());
  CHECK(json->json == R"({"exit":0,"json":{"a":[true],"b":1}})");
  for (const char* bad : {"", "{", "{} {}", "{\"a\":1,\"a\":2}", "nan", "\xff"}) {
    CHECK(render_result(command(true), wrote(bad)).code() == Code::tool_output_malformed);
  }
}

TEST_CASE("a builtin's fields and rows", "[broker][result]") {
  sandbox::RunReport report = wrote("");
  report.result.fields = {{"size", std::int64_t{3}}, {"eof", true}, {"content", "abc"}};
  const auto read = render_result(builtin(), report);
  REQUIRE(read.ok());
  CHECK(read->json == R"({"size":3,"eof":true,"text":"abc"})");
  CHECK(read->result_bytes == 3);
  report.result.fields = {{"content", std::string("\x80\x81")}};
  const auto raw = render_result(builtin(), report);
  REQUIRE(raw.ok());
  CHECK(raw->json == R"({"base64":"gIE="})");
  report.result.fields = {{"truncated", false}};
  report.result.rows_name = "entries";
  report.result.rows = {{{"name", "a"}, {"size", std::int64_t{1}}}, {{"name", "\xff"}}};
  const auto listed = render_result(builtin(), report);
  REQUIRE(listed.ok());
  CHECK(listed->json ==
        R"({"truncated":false,"entries":[{"name":"a","size":1},{"name_base64":"/w=="}]})");
}

TEST_CASE("a result above its cap is refused", "[broker][result]") {
  const auto huge = render_result(command(false), wrote(std::string(3'000'000, '\x01')));
  CHECK(huge.code() == Code::output_cap);
}

TEST_CASE("a long result is not shown whole", "[broker][result]") {
  CHECK(shown_result("{}") == "{}");
  const std::string longer(limits::kStepResultShownBytes + 1, 'x');
  CHECK(shown_result(longer) ==
        "{\"truncated\":true,\"bytes\":" + std::to_string(longer.size()) + "}");
}

TEST_CASE("every end of a run has an outcome", "[broker][result]") {
  using authority::CallState;
  using sandbox::RunEnd;
  const struct {
    RunEnd end;
    CallState state;
    Code code;
  } rows[] = {
      {RunEnd::done, CallState::done, Code::ok},
      {RunEnd::failed, CallState::failed, Code::tool_failed},
      {RunEnd::signalled, CallState::failed, Code::tool_failed},
      {RunEnd::violation, CallState::killed, Code::violation},
      {RunEnd::deadline, CallState::killed, Code::tool_killed},
      {RunEnd::output_cap, CallState::killed, Code::output_cap},
      {RunEnd::killed, CallState::killed, Code::tool_killed},
      {RunEnd::lost, CallState::interrupted, Code::call_interrupted},
  };
  for (const auto& row : rows) {
    sandbox::RunReport report;
    report.end = row.end;
    const authority::Outcome outcome = outcome_of(report);
    CHECK(outcome.state == row.state);
    CHECK(outcome.code == row.code);
  }
  sandbox::RunReport refused;
  refused.end = RunEnd::refused;
  refused.error = Error(Code::sandbox_layer);
  CHECK(outcome_of(refused).state == CallState::failed);
  CHECK(outcome_of(refused).code == Code::sandbox_layer);
}

}  // namespace
}  // namespace taper::broker
