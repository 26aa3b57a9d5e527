#include "runtime/broker/question.h"

#include <algorithm>
#include <array>

#include "runtime/authority/result_text.h"
#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

using capsules::Object;
using capsules::Value;

constexpr std::uint8_t kVersion = 1;

Error malformed_question() { return Error(Code::tool_output_malformed); }

Error wrong(std::string field, std::string expected) {
  return Error(Code::input_malformed,
               {.field = std::move(field), .expected = std::move(expected), .got = "", .fix = ""});
}

const std::string* text_of(const Value& value, std::string_view name) {
  const Value* member = value.find(name);
  return member == nullptr ? nullptr : member->text();
}

// What was offered to the server, and nothing else: the helper beside it is not believed.
bool is_request(const std::string& key, const Value& request, authority::Input offered) {
  const std::string* method = text_of(request, "method");
  const Value* params = request.find("params");
  if (method == nullptr || *method != "elicitation/create" || params == nullptr ||
      params->object() == nullptr || key.empty() || key.size() > limits::kMcpNameBytesMax)
    return false;
  const Value* mode = params->find("mode");
  if (mode == nullptr) return offered >= authority::Input::forms;
  const std::string* word = mode->text();
  if (word == nullptr) return false;
  return (*word == "form" && offered >= authority::Input::forms) ||
         (*word == "url" && offered >= authority::Input::urls);
}

// A field of a form: a text, a number, a choice, or several texts.
bool is_entry(const Value& value) {
  if (value.array() == nullptr)
    return value.text() != nullptr || value.integer() != nullptr || value.number() != nullptr ||
           value.boolean() != nullptr;
  return std::ranges::all_of(*value.array(),
                             [](const Value& one) { return one.text() != nullptr; });
}

Status check_answer(const std::string& field, const Value& answer) {
  constexpr std::array<std::string_view, 3> kActions = {"accept", "decline", "cancel"};
  if (answer.object() == nullptr) return wrong(field, "an object");
  const std::string* action = text_of(answer, "action");
  if (action == nullptr || std::ranges::find(kActions, *action) == kActions.end())
    return wrong(field + ".action", "accept, decline or cancel");
  const Value* content = answer.find("content");
  if (content == nullptr) return success();
  if (content->object() == nullptr) return wrong(field + ".content", "an object");
  for (const auto& [name, value] : *content->object()) {
    if (!is_entry(value))
      return wrong(field + ".content." + name, "a text, a number, a boolean or a list of texts");
  }
  return success();
}

// Nothing else of the client's goes to the server.
Value answer_alone(const Value& answer) {
  const std::string& action = *text_of(answer, "action");
  Object alone{{"action", action}};
  const Value* content = answer.find("content");
  if (content != nullptr && action == "accept") alone.emplace_back("content", *content);
  return alone;
}

std::string own_key(const std::string& key) { return key.substr(key.find('/') + 1); }

}  // namespace

const std::string* asked_in(const sandbox::RunReport& report) {
  if (report.end != sandbox::RunEnd::done) return nullptr;
  for (const sandbox::Field& field : report.result.fields)
    if (field.name == "asked") return std::get_if<std::string>(&field.value);
  return nullptr;
}

Result<Question> make_question(const std::string& asked, std::uint64_t round, Bytes arguments,
                               authority::Input offered, Masker& masker) {
  if (asked.size() > 3 * limits::kInputBytesMax) return malformed_question();
  TAPER_TRY(const Value told, authority::parse_output(asked));
  Question question{round, std::move(arguments), Object{}, std::nullopt};
  const Value* requests = told.find("inputRequests");
  if (requests != nullptr) {
    if (requests->object() == nullptr || requests->object()->size() > limits::kInputRequestsMax)
      return malformed_question();
    for (const auto& [key, request] : *requests->object()) {
      if (!is_request(key, request, offered)) return malformed_question();
      question.requests.object()->emplace_back(std::to_string(round) + "/" + key, request);
    }
  }
  if (const std::string* state = text_of(told, "requestState")) question.state = *state;
  if (requests == nullptr && !question.state) return malformed_question();
  if (question.state && question.state->size() > limits::kInputBytesMax)
    return malformed_question();
  if (requests != nullptr && capsules::write_canonical(*requests).size() > limits::kInputBytesMax)
    return malformed_question();
  // It must go back as it is, and no secret of the call's is kept in clear.
  std::string state = question.state.value_or("");
  if (masker.mask(state)) return Error(Code::upstream_broken);
  masker.mask(question.requests);
  return question;
}

Bytes encode_question(const Question& question) {
  ByteWriter out;
  out.u8(kVersion).u64(question.round).block(question.arguments);
  out.text(capsules::write_canonical(question.requests));
  out.u8(question.state ? 1 : 0).text(question.state.value_or(""));
  return std::move(out).bytes();
}

Result<Question> decode_question(ByteSpan bytes) {
  const Error corrupt(Code::store_corrupt,
                      {.field = "question", .expected = "a record", .got = "", .fix = ""});
  ByteReader in(bytes);
  Question question;
  const std::uint8_t version = in.u8();
  question.round = in.u64();
  question.arguments = to_bytes(in.block(limits::kArgumentBytesMax));
  const std::string requests = in.text(limits::kResultBytesMax);
  const std::uint8_t has_state = in.u8();
  std::string state = in.text(limits::kResultBytesMax);
  if (!in.done() || version != kVersion || has_state > 1) return corrupt;
  if (has_state == 1) question.state = std::move(state);
  Result<Value> parsed = capsules::parse_value(as_bytes(requests), requests.size());
  if (!parsed.ok() || parsed->object() == nullptr) return corrupt;
  question.requests = std::move(parsed).value();
  return question;
}

Result<std::string> answers_to(const Question& question, ByteSpan responses) {
  const Result<Value> given = capsules::parse_value(responses, limits::kInputBytesMax);
  if (!given.ok() || given->object() == nullptr)
    return wrong("inputResponses", "an object of at most " +
                                       std::to_string(limits::kInputBytesMax) +
                                       " bytes, as strict as arguments are");
  Object answers;
  for (const auto& [key, request] : *question.requests.object()) {
    const std::string field = "inputResponses." + key;
    const Value* answer = given->find(key);
    if (answer == nullptr) return wrong(field, "an answer");
    TAPER_CHECK(check_answer(field, *answer));
    answers.emplace_back(own_key(key), answer_alone(*answer));
  }
  return capsules::write_canonical(answers);
}

}  // namespace taper::broker
