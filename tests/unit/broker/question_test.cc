// What a call that waits has asked: made of what its cell told, kept, and answered.
#include "runtime/broker/question.h"

#include "crypto/crypto.h"
#include "tests/unit/broker/broker_life.h"

namespace taper::broker {
namespace {

constexpr const char* kForm =
    R"({"method":"elicitation/create","params":{"message":"Who?","most":2.50}})";

std::string asked(const std::string& requests, const std::string& more = "") {
  return R"({"inputRequests":)" + requests + more + "}";
}
Question made(const std::string& text, std::uint64_t round = 1) {
  Masker masker;
  return must(make_question(text, round, to_bytes(as_bytes(R"({ "a":1})")), authority::Input::urls,
                            masker));
}
Code refused(const std::string& text) {
  Masker masker;
  return make_question(text, 1, {}, authority::Input::urls, masker).code();
}
Result<std::string> answered(const Question& question, std::string_view responses) {
  return answers_to(question, as_bytes(responses));
}
// "FIELD: what is expected"
std::string wrong(const Question& question, std::string_view responses) {
  const auto answers = answered(question, responses);
  REQUIRE(answers.code() == Code::input_malformed);
  const ErrorDetail& detail = answers.error().detail();
  return detail.field + ": " + detail.expected;
}

TEST_CASE("a question is kept whole and shown under keys of its call's life", "[broker][R43]") {
  const Question question =
      made(asked("{\"who\":" + std::string(kForm) + "}", R"(,"requestState":"s\u0000\"")"), 3);
  const Question again = must(decode_question(encode_question(question)));
  CHECK(again.round == 3);
  CHECK(as_text(again.arguments) == R"({ "a":1})");
  CHECK(again.state == std::string("s\0\"", 3));
  CHECK(capsules::write_canonical(again.requests) == "{\"3/who\":" + std::string(kForm) + "}");
  const Question bare = made(R"({"requestState":""})");
  CHECK(must(decode_question(encode_question(bare))).state == "");
  CHECK(capsules::write_canonical(bare.requests) == "{}");
  CHECK_FALSE(must(decode_question(encode_question(made(asked("{}"))))).state);
}

TEST_CASE("nothing but what was offered is a question", "[broker][R43]") {
  for (const char* bad :
       {"", "[]", "{}", R"({"inputRequests":[]})", R"({"inputRequests":{"a":1}})",
        R"({"requestState":7})", R"({"inputRequests":{"a":{"method":"elicitation/create"}}})",
        R"({"inputRequests":{"a":{"method":"sampling/createMessage","params":{}}}})"})
    CHECK(refused(bad) == Code::tool_output_malformed);
  std::string many = "{";
  for (std::size_t i = 0; i <= limits::kInputRequestsMax; ++i)
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":" + kForm;
  CHECK(refused(asked(many + "}")) == Code::tool_output_malformed);
  CHECK(refused(R"({"requestState":")" + std::string(4 * limits::kInputBytesMax, 'x') + "\"}") ==
        Code::tool_output_malformed);
}

TEST_CASE("a helper is not believed beyond what was offered", "[broker][R43]") {
  const auto code = [](const std::string& requests, authority::Input offered) {
    Masker masker;
    return make_question(asked(requests), 1, {}, offered, masker).code();
  };
  const auto request = [](const std::string& key, const std::string& mode) {
    return "{\"" + key + R"(":{"method":"elicitation/create","params":{"mode":")" + mode + "\"}}}";
  };
  using authority::Input;
  CHECK(code(request("a", "url"), Input::urls) == Code::ok);
  CHECK(code(request("a", "form"), Input::forms) == Code::ok);
  CHECK(code(request("a", "url"), Input::forms) == Code::tool_output_malformed);
  CHECK(code(request("a", "form"), Input::retry) == Code::tool_output_malformed);
  CHECK(code(request("a", "other"), Input::urls) == Code::tool_output_malformed);
  CHECK(code(request("", "form"), Input::urls) == Code::tool_output_malformed);
  CHECK(code(request(std::string(129, 'k'), "form"), Input::urls) == Code::tool_output_malformed);
  const std::string big(limits::kInputBytesMax + 1, 'x');
  CHECK(code(request("a", "form\",\"message\":\"" + big), Input::urls) ==
        Code::tool_output_malformed);
  Masker masker;
  CHECK(make_question("{\"requestState\":\"" + big + "\"}", 1, {}, Input::urls, masker).code() ==
        Code::tool_output_malformed);
}

TEST_CASE("a secret that a server asks about is not shown", "[broker][R43][R12]") {
  REQUIRE(crypto::initialise().ok());
  std::vector<authority::CallSecret> secrets;
  secrets.push_back({"token", crypto::Secret::copy_of(as_bytes("hush-hush-hush"))});
  Masker masker(secrets);
  const std::string form =
      R"({"method":"elicitation/create","params":{"message":"hush-hush-hush?"}})";
  const std::string who = "{\"who\":" + form + "}";
  const Question question = must(make_question(asked(who), 1, {}, authority::Input::forms, masker));
  CHECK(capsules::write_canonical(question.requests).find("hush-hush") == std::string::npos);
  // A state must go back as it is, so none is kept that holds one.
  CHECK(make_question(asked(who, R"(,"requestState":"hush-hush-hush")"), 1, {},
                      authority::Input::forms, masker)
            .code() == Code::upstream_broken);
}

TEST_CASE("an answer of the wrong form is refused with its field", "[broker][R43]") {
  const Question question = made(asked("{\"who\":" + std::string(kForm) + "}"));
  const std::string form =
      "inputResponses: an object of at most 65536 bytes, as strict as arguments are";
  for (const char* bad : {"", "[]", "7", "{", R"({"a":1,"a":2})"})
    CHECK(wrong(question, bad) == form);
  CHECK(wrong(question, "{\"x\":\"" + std::string(limits::kInputBytesMax, 'x') + "\"}") == form);
  CHECK(wrong(question, "{}") == "inputResponses.1/who: an answer");
  CHECK(wrong(question, R"({"who":{"action":"accept"}})") == "inputResponses.1/who: an answer");
  CHECK(wrong(question, R"({"1/who":"B"})") == "inputResponses.1/who: an object");
  const std::string action = "inputResponses.1/who.action: accept, decline or cancel";
  for (const char* bad : {"{}", R"({"action":7})", R"({"action":"yes"})"})
    CHECK(wrong(question, "{\"1/who\":" + std::string(bad) + "}") == action);
  CHECK(wrong(question, R"({"1/who":{"action":"accept","content":[]}})") ==
        "inputResponses.1/who.content: an object");
  for (const char* bad : {"{}", "null", "[1]", "[[]]"})
    CHECK(wrong(question,
                R"({"1/who":{"action":"accept","content":{"n":)" + std::string(bad) + "}}}") ==
          "inputResponses.1/who.content.n: a text, a number, a boolean or a list of texts");
}

TEST_CASE("answers go to the server under its own keys, and no others", "[broker][R43]") {
  const Question question =
      made(asked("{\"a/b\":" + std::string(kForm) + ",\"who\":" + kForm + "}"), 2);
  CHECK(
      must(answered(question, R"({"2/who":{"action":"decline"},"1/who":{"action":"accept"},)"
                              R"("2/a/b":{"action":"accept","content":{"n":2.50,"m":["x"]}}})")) ==
      R"({"a/b":{"action":"accept","content":{"m":["x"],"n":2.50}},"who":{"action":"decline"}})");
  CHECK(must(answered(made(R"({"requestState":"x"})"), "{}")) == "{}");
  // Of an answer what answers, and no word more of the client's.
  CHECK(must(answered(made(asked("{\"who\":" + std::string(kForm) + "}")),
                      R"({"1/who":{"action":"decline","content":{"n":1},"_meta":{"a":1}}})")) ==
        R"({"who":{"action":"decline"}})");
}

TEST_CASE("a kept question that was changed is none", "[broker][R43]") {
  const Bytes whole = encode_question(made(asked("{\"who\":" + std::string(kForm) + "}")));
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(decode_question(ByteSpan(whole).first(size)).code() == Code::store_corrupt);
  Bytes longer = whole;
  longer.push_back(0);
  CHECK(decode_question(longer).code() == Code::store_corrupt);
}

}  // namespace
}  // namespace taper::broker
