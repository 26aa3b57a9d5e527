// What steps see of a tool's answer.
#include "runtime/broker/result_json.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "crypto/crypto.h"
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

authority::Tool server_tool() {
  authority::Tool tool;
  tool.name = "fs.read";
  tool.kind = authority::ToolKind::upstream;
  return tool;
}

sandbox::RunReport answered(std::string result, bool is_error = false) {
  sandbox::RunReport report;
  report.end = sandbox::RunEnd::done;
  report.result.fields = {{"result", std::move(result)}, {"is_error", is_error}};
  return report;
}

TEST_CASE("a server's result is its three members and no more", "[broker][result]") {
  const auto result = render_result(
      server_tool(),
      answered(R"({"structuredContent":{"n":1.50,"big":12345678901234567890},"content":[],)"
               R"("_meta":{},"isError":false,"resultType":"task","task":{"taskId":"x"}})"));
  REQUIRE(result.ok());
  CHECK(result->json ==
        R"({"mcp":{"_meta":{},"content":[],"structuredContent":{"big":12345678901234567890,)"
        R"("n":1.50}}})");
  CHECK(result->result_bytes == 141);
  for (const char* bad : {"", "[]", "null", "{", R"({"content":[],"content":[]})", "{\"a\":\xff}"})
    CHECK(render_result(server_tool(), answered(bad)).code() == Code::tool_output_malformed);
  sandbox::RunReport none = answered("{}");
  none.result.fields = {{"result", true}};
  CHECK(render_result(server_tool(), none).code() == Code::tool_output_malformed);
  none.result.fields = {};
  CHECK(render_result(server_tool(), none).code() == Code::tool_output_malformed);
}

TEST_CASE("a server's result is masked wherever a secret stands in it", "[broker][result][R20]") {
  REQUIRE(crypto::initialise().ok());
  constexpr std::string_view kSecret = "tok\"en-0123";
  std::vector<authority::CallSecret> secrets;
  secrets.push_back({"token", crypto::Secret(kSecret.size())});
  std::ranges::copy(kSecret, secrets[0].value.bytes().begin());
  const auto result = render_result(
      server_tool(),
      answered(R"({"content":[{"type":"text","text":"is tok\"en-0123"}],)"
               R"("structuredContent":{"tok\"en-0123":1},"_meta":{"a":"\u0074ok\"en-0123"}})"),
      Masker(secrets));
  REQUIRE(result.ok());
  CHECK(result->json == R"({"mcp":{"_meta":{"a":"[secret token]"},)"
                        R"("content":[{"text":"is [secret token]","type":"text"}],)"
                        R"("structuredContent":{"[secret token]":1}}})");
}

TEST_CASE("a server's own failure is the call's", "[broker][result]") {
  sandbox::RunReport report = answered("{}", true);
  report.result.fields.push_back({"text", "no such file /srv/x"});
  fail_by_answer(report);
  CHECK(report.end == sandbox::RunEnd::failed);
  CHECK(report.error.code() == Code::tool_failed);
  CHECK(report.err == "no such file /srv/x");
  sandbox::RunReport fine = answered("{}");
  fail_by_answer(fine);
  CHECK(fine.end == sandbox::RunEnd::done);
}

TEST_CASE("what a server says is kept out of the log where arguments are", "[broker][result]") {
  const auto outcome = [](Code code) {
    sandbox::RunReport report;
    report.end = sandbox::RunEnd::failed;
    report.error = Error(code, {"what", "", "the server's words", ""});
    return outcome_of(report, authority::ToolKind::upstream);
  };
  for (const Code code : {Code::tool_failed, Code::tool_input, Code::upstream_broken}) {
    CHECK(outcome(code).code == code);
    CHECK(outcome(code).subject == "the server's words");
    CHECK(outcome(code).detail.find("what") != std::string::npos);
    CHECK(outcome(code).detail.find("words") == std::string::npos);
  }
  // Of the definitions, which the pins have already.
  CHECK(outcome(Code::upstream_drift).detail.find("the server's words") != std::string::npos);
}

}  // namespace
}  // namespace taper::broker
