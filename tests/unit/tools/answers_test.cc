#include "tests/unit/tools/fake_asker.h"
#include "tools/taper/connect/describe.h"

namespace taper::tools {
namespace {

using mcp::Json;

TEST_CASE("A result is read with all that it has", "[tools]") {
  const auto read = read_result(
      json(R"({"content":[{"type":"text","text":"hi"}],"structured":{"n":1},"is_error":true,)"
           R"("meta":{"a":1},"remaining":{"calls":3},"decision":"0011223344556677"})"));
  REQUIRE(read);
  CHECK(read->content.text() == R"([{"type":"text","text":"hi"}])");
  CHECK(read->structured.text() == R"({"n":1})");
  CHECK(read->is_error);
  CHECK(read->meta.text() == R"({"a":1})");
  CHECK(read->remaining.text() == R"({"calls":3})");
  CHECK_FALSE(read->denial);
}

TEST_CASE("A structured result alone is mirrored as text", "[tools]") {
  const auto read = read_result(json(R"({"structured":{"n":1}})"));
  REQUIRE(read);
  CHECK(read->content.text() == R"([{"type":"text","text":"{\"n\":1}"}])");
  CHECK_FALSE(read->is_error);
}

TEST_CASE("A call that ended badly says so by number; only a refusal is a denial", "[tools]") {
  const auto killed = read_result(json(R"({"is_error":true,"code":607})"));
  REQUIRE(killed);
  CHECK(killed->content.text() == R"([{"type":"text","text":"E607: the tool was killed"}])");
  CHECK_FALSE(killed->denial);
  const auto spent = read_result(json(R"({"is_error":true,"code":512})"));
  REQUIRE(spent);
  CHECK(spent->denial == 512U);
  const auto unheard = read_result(json(R"({"is_error":true,"code":4711})"));
  REQUIRE(unheard);
  CHECK(unheard->content.absent());
}

TEST_CASE("A task is read with the payload that its state has", "[tools]") {
  const auto working = read_task(json(task_body("working", R"("remaining":{"calls":1})")));
  REQUIRE(working);
  CHECK(working->id == kCall);
  CHECK(working->status == mcp::TaskStatus::working);
  CHECK(working->created_s == 1'700'000'000);
  CHECK(working->updated_s == 1'700'000'005);
  CHECK(working->ttl_ms == 60'000);
  CHECK(working->poll_ms == 500);
  CHECK(working->remaining.text() == R"({"calls":1})");
  CHECK(std::holds_alternative<std::monostate>(working->payload));

  const auto done = read_task(
      json(task_body("completed", R"("is_error":true,"result":{"content":[],"is_error":true})")));
  REQUIRE(done);
  CHECK(done->is_error);
  CHECK(std::get<mcp::ToolResult>(done->payload).is_error);

  const auto failed = read_task(json(task_body("failed", R"("code":607,"message":"killed")")));
  REQUIRE(failed);
  CHECK(failed->message == "killed");
  CHECK(std::get<mcp::RpcError>(failed->payload).code == 607);
  CHECK(std::get<mcp::RpcError>(failed->payload).message == "E607: the tool was killed");

  const auto asks = read_task(json(task_body("input_required", R"("requests":{"word":{}})")));
  REQUIRE(asks);
  CHECK(std::get<Json>(asks->payload).text() == R"({"word":{}})");

  // What it made is not handed out with the state of another.
  const auto cancelled = read_task(json(task_body("cancelled", R"("result":{"content":[]})")));
  REQUIRE(cancelled);
  CHECK(std::holds_alternative<std::monostate>(cancelled->payload));
}

TEST_CASE("What is not as agreed is no task and no list", "[tools]") {
  CHECK_FALSE(read_task(json("[]")));
  CHECK_FALSE(read_task(json("{}")));
  CHECK_FALSE(read_task(json(task_body("asleep"))));
  CHECK_FALSE(read_task(json(R"({"call":"00","status":"working","created_s":1})")));
  CHECK_FALSE(read_result(json(R"("text")")));
  CHECK_FALSE(read_tools(json("{}")));
  CHECK_FALSE(read_tools(json(R"({"tools":{}})")));
  CHECK_FALSE(read_tools(json(R"({"tools":[{"name":"a"}]})")));
  CHECK_FALSE(read_tools(json(R"({"tools":[{"input_schema":{}}]})")));
}

TEST_CASE("Tools are read in their order, without those that no client can name", "[tools]") {
  const std::string longest(128, 'a');
  const auto read = read_tools(json(
      R"({"tools":[{"name":"b","title":"B","description":"d","input_schema":{"type":"object"},)"
      R"("output_schema":{"type":"object"},"annotations":{"readOnlyHint":true},"task":"may"},)"
      R"({"name":")" +
      longest + R"(","input_schema":{},"task":"never"},{"name":")" + longest +
      R"(b","input_schema":{}}],"fresh_ms":5000})"));
  REQUIRE(read);
  REQUIRE(read->items.size() == 2);
  CHECK(read->items[0].title == "B");
  CHECK(read->items[0].task_support == mcp::TaskSupport::optional);
  CHECK(read->items[0].annotations.text() == R"({"readOnlyHint":true})");
  CHECK(read->items[1].name == longest);
  CHECK(read->items[1].task_support == mcp::TaskSupport::forbidden);
  CHECK(read->fresh_ms == 5000);
}

Answer replied(Code code, std::string body) {
  broker::SessionReply reply;
  reply.code = code;
  reply.body = std::move(body);
  return read_reply(reply);
}

TEST_CASE("A denial has its number, the table's words and what is left", "[tools]") {
  const Answer answer =
      replied(Code::argument_refused, R"({"decision":"0011223344556677","remaining":{"calls":2}})");
  const auto& denial = std::get<mcp::Denial>(answer);
  CHECK(denial.code == 504);
  CHECK(denial.text == "an argument breaks its constraint; use a value inside the constraint");
  CHECK(denial.remaining.text() == R"({"calls":2})");
  CHECK(std::get<mcp::Denial>(replied(Code::argument_refused, "no JSON")).remaining.absent());
}

TEST_CASE("What else a reply can be", "[tools]") {
  CHECK(std::get<mcp::Refusal>(replied(Code::handle_unknown, "")) == mcp::Refusal::unknown_task);
  CHECK(std::get<mcp::Refusal>(replied(Code::internal, "{}")) == mcp::Refusal::internal);
  CHECK(std::get<mcp::RpcError>(replied(Code::ok, "{")).code == -32603);
  CHECK(std::get<mcp::RpcError>(replied(Code::ok, "[]")).code == -32603);
  const auto text = [](Unanswered::When when) {
    return std::get<mcp::RpcError>(read_reply(Unanswered{when, Error(Code::control_unreachable)}))
        .message;
  };
  CHECK(text(Unanswered::When::unsent).find("nothing was done") != std::string::npos);
  CHECK(text(Unanswered::When::in_flight).find("done or not") != std::string::npos);
  CHECK(text(Unanswered::When::ended).find("has ended") != std::string::npos);
}

TEST_CASE("A refusal and a failure are told to the holder with the decision", "[tools]") {
  broker::SessionReply reply;
  reply.code = Code::argument_refused;
  reply.body = R"({"decision":"0011223344556677"})";
  CHECK(trouble_line(reply) == "E504 argument_refused, decision 0011223344556677");
  reply.body = R"({"decision":"\u001b[2J"})";
  CHECK(trouble_line(reply) == "E504 argument_refused");
  reply.code = Code::ok;
  CHECK(trouble_line(reply).empty());
  reply.body = R"({"content":[],"is_error":true,"code":622,"decision":"0011223344556677"})";
  CHECK(trouble_line(reply) == "E622 upstream_broken, decision 0011223344556677");
  reply.body =
      R"({"content":[{"type":"text","text":"\"is_error\":true"}],"is_error":false,"code":1})";
  CHECK(trouble_line(reply).empty());
}

TEST_CASE("A description is told as Markdown and as JSON", "[tools]") {
  const std::string body =
      R"({"task":"00ff","purpose":"Rotate | logs\n# x","requester":"user:a","agent":"triage",)"
      R"("node":"edge-7","end_on":{"denials":3},"grants":[{"id":"g1","tool":"file.read",)"
      R"("effect":"read","verbs":["discover","call"],"remaining":{"calls":41,"rate":2,"cpu_ms":2000}}],)"
      R"("remaining":{"lease_ms":3600000,"idle_ms":60000,"not_after_s":1700000000}})";
  const auto read = read_description(json(body));
  REQUIRE(read);
  REQUIRE(read->contents.size() == 2);
  const auto& text = std::get<std::string>(read->contents[0].body);
  CHECK(read->contents[0].mime_type == "text/markdown");
  CHECK(text.find("Purpose: Rotate \\| logs\\x0a# x\n") != std::string::npos);
  CHECK(text.find("| g1 | file.read | read | discover, call | 41 calls, 2 calls at once, 2s of "
                  "processor time |") != std::string::npos);
  CHECK(text.find("1h of lease, idle for at most 1m, until 2023-11-14T22:13:20Z") !=
        std::string::npos);
  CHECK(text.find("ends on: denials: 3") != std::string::npos);
  CHECK(read->contents[1].mime_type == "application/json");
  CHECK(std::get<std::string>(read->contents[1].body) == body);
  CHECK(read->remaining.is_object());
  CHECK(instructions(json(body)).find("Rotate | logs") != std::string::npos);
  CHECK(lease_left_ms(json(body)) == 3'600'000);
  CHECK(lease_left_ms(json("{}")) == 0);
  CHECK_FALSE(read_description(json("[]")));
}

}  // namespace
}  // namespace taper::tools
