// Only byte-exact messages of a known kind pass.
#include "runtime/broker/messages.h"

#include <catch2/catch.hpp>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

template <class Id>
Id some() {
  Id id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(i + 1);
  return id;
}

std::vector<ControlRequest> all_requests() {
  ControlRequest result{.verb = ControlVerb::result,
                        .task = some<TaskId>(),
                        .challenge = some<Nonce>(),
                        .reader = some<PublicKey>(),
                        .step = "read[3]",
                        .room = 77};
  result.proof.fill(7);
  ControlRequest run{.verb = ControlVerb::run,
                     .file = Bytes(300, 5),
                     .challenge = some<Nonce>(),
                     .inputs = {{"plant", "seven"}, {"site", ""}},
                     .keys = {"/a/agent.key", "/a/other.key"}};
  run.proof.fill(9);
  return {{.verb = ControlVerb::show, .task = some<TaskId>()},
          {.verb = ControlVerb::cancel, .task = some<TaskId>()},
          {.verb = ControlVerb::kill, .task = some<TaskId>()},
          {.verb = ControlVerb::challenge},
          {.verb = ControlVerb::import_root, .file = Bytes(10, 3), .fleet = some<Hash>()},
          {.verb = ControlVerb::import_root, .file = Bytes(10, 3)},
          {.verb = ControlVerb::import_time, .file = Bytes(10, 3)},
          {.verb = ControlVerb::import_order, .file = Bytes(10, 3)},
          {.verb = ControlVerb::time_challenge},
          {.verb = ControlVerb::policy},
          {.verb = ControlVerb::import_release, .file = Bytes(10, 3)},
          result,
          run};
}

std::vector<ControlAnswer> all_answers() {
  StepReport step{.id = "read[3]",
                  .tool = "file.read",
                  .decision = some<DecisionId>(),
                  .verdict = "deny",
                  .code = Code::argument_refused,
                  .outcome = "",
                  .error = Error(Code::argument_refused, {"path", "under /a", "/b", "mend it"}),
                  .result = R"({"a":1})",
                  .err = "no"};
  return {ControlReply{Code::task_terminal, {"task", "a live task", "completed", ""}},
          ControlChallenge{some<Hash>(), some<Nonce>()},
          Imported{.version = 3, .fleet = some<Hash>(), .first = true},
          ControlReadable{some<CallId>(), "read", 4, 1000},
          ControlPart{Bytes(limits::kControlPartBytes, 1)},
          RunBegun{some<TaskId>(), true, false},
          std::move(step),
          RunEnded{authority::TaskState::revoked, authority::EndReason::revocation, Code::revoked},
          Ordered{some<TaskId>(), true}};
}

TEST_CASE("a request comes back as it was", "[broker][messages]") {
  for (const ControlRequest& request : all_requests()) {
    const Result<ControlRequest> back = decode_request(encode(request));
    REQUIRE(back.ok());
    CHECK(back->verb == request.verb);
    CHECK(back->task == request.task);
    CHECK(back->file == request.file);
    CHECK(back->fleet == request.fleet);
    CHECK(back->challenge == request.challenge);
    CHECK(back->proof == request.proof);
    CHECK(back->reader == request.reader);
    CHECK(back->step == request.step);
    CHECK(back->room == request.room);
    CHECK(back->inputs == request.inputs);
    CHECK(back->keys == request.keys);
  }
}

TEST_CASE("what belongs to another verb is not sent", "[broker][messages]") {
  ControlRequest request = all_requests().back();
  request.verb = ControlVerb::cancel;
  const Result<ControlRequest> back = decode_request(encode(request));
  REQUIRE(back.ok());
  CHECK(back->file.empty());
  CHECK(back->inputs.empty());
}

TEST_CASE("an answer comes back as it was", "[broker][messages]") {
  for (const ControlAnswer& answer : all_answers()) {
    const Result<ControlAnswer> back = decode_answer(encode(answer));
    REQUIRE(back.ok());
    CHECK(back->index() == answer.index());
    CHECK(encode(*back) == encode(answer));
  }
  const auto back = decode_answer(encode(all_answers()[6]));
  REQUIRE(back.ok());
  const StepReport& step = std::get<StepReport>(*back);
  CHECK(step.error.detail().expected == "under /a");
  CHECK(to_line(step.error) == to_line(std::get<StepReport>(all_answers()[6]).error));
}

TEST_CASE("a long detail is cut", "[broker][messages]") {
  const std::string longer(limits::kControlDetailBytesMax + 100, 'x');
  const auto cut = decode_answer(encode(ControlReply{Code::ok, {"", "", longer, ""}}));
  REQUIRE(cut.ok());
  CHECK(std::get<ControlReply>(*cut).detail.got.size() == limits::kControlDetailBytesMax);
}

TEST_CASE("every truncation and every trailing byte is refused", "[broker][messages]") {
  for (const ControlRequest& request : all_requests()) {
    const Bytes whole = encode(request);
    for (std::size_t length = 0; length < whole.size(); ++length)
      CHECK(decode_request(ByteSpan(whole).first(length)).code() == Code::message_malformed);
    for (std::size_t more : {1u, 4u, 16u, 4096u}) {
      Bytes longer = whole;
      longer.resize(whole.size() + more);
      CHECK(decode_request(longer).code() == Code::message_malformed);
    }
  }
}

TEST_CASE("a flipped bit changes the content or is refused", "[broker][messages]") {
  for (const ControlRequest& request : all_requests()) {
    const Bytes whole = encode(request);
    for (std::size_t at = 0; at < whole.size() * 8; ++at) {
      Bytes flipped = whole;
      flipped[at / 8] = static_cast<std::uint8_t>(flipped[at / 8] ^ (1u << (at % 8)));
      const Result<ControlRequest> read = decode_request(flipped);
      if (!read.ok()) {
        CHECK(read.code() == Code::message_malformed);
      } else {
        CHECK(encode(*read) == flipped);
      }
    }
  }
}

TEST_CASE("an answer is no request and the other way round", "[broker][messages]") {
  for (const ControlAnswer& answer : all_answers())
    CHECK(decode_request(encode(answer)).code() == Code::message_malformed);
  for (const ControlRequest& request : all_requests())
    CHECK(decode_answer(encode(request)).code() == Code::message_malformed);
  CHECK(decode_request(encode(ControlRequest{})).code() == Code::message_malformed);
}

// The kind is told and the table is not there.
TEST_CASE("an answer without its content is refused", "[broker][messages]") {
  for (const ControlAnswer& answer : all_answers()) {
    const Bytes whole = encode(answer);
    for (std::size_t at = 0; at < std::min<std::size_t>(whole.size(), 200); ++at) {
      for (const std::uint8_t value : Bytes{0x00, 0x01, 0x14, 0xff}) {
        Bytes changed = whole;
        changed[at] = value;
        const Result<ControlAnswer> read = decode_answer(changed);
        if (read.ok()) CHECK(encode(*read) == changed);
      }
    }
  }
  const auto kind_alone =
      read_file(TAPER_SOURCE_DIR "/tests/fuzz/corpus/broker_message/kind_alone", 4096);
  REQUIRE(kind_alone.ok());
  CHECK(decode_answer(*kind_alone).code() == Code::message_malformed);
}

TEST_CASE("a message above the cap is refused", "[broker][messages]") {
  CHECK(decode_request(Bytes(limits::kControlMessageBytesMax + 1)).code() ==
        Code::message_malformed);
}

TEST_CASE("a request beyond what its fields may hold is refused", "[broker][messages]") {
  ControlRequest run = all_requests().back();
  const auto refused = [&] {
    return decode_request(encode(run)).code() == Code::message_malformed;
  };
  CHECK_FALSE(refused());
  run.keys = {"agent.key"};
  CHECK(refused());
  run.keys = {"/" + std::string(limits::kTextBytesMax, 'k')};
  CHECK(refused());
  run.keys = std::vector<std::string>(limits::kControlKeysMax + 1, "/k");
  CHECK(refused());
  run.keys.clear();
  CHECK_FALSE(refused());
  for (std::size_t i = 0; i <= limits::kInputsMax; ++i) run.inputs["i" + std::to_string(i)] = "";
  CHECK(refused());
  run.inputs.clear();
  run.file.resize(limits::kCapsuleBytesMax + 1);
  CHECK(refused());
}

// As another program might write it: our own encoder never does.
TEST_CASE("inputs twice or out of order are refused", "[broker][messages]") {
  ControlRequest run = all_requests().back();
  run.inputs = {{"inner", "v"}, {"outer", "v"}};
  const std::string text(as_text(encode(run)));
  const auto inner = text.find("inner"), outer = text.find("outer");
  const auto renamed = [&](const char* one, const char* two) {
    std::string changed = text;
    changed.replace(inner, 5, one).replace(outer, 5, two);
    return decode_request(as_bytes(changed)).code();
  };
  CHECK(renamed("inner", "outer") == Code::ok);
  CHECK(renamed("outer", "inner") == Code::message_malformed);
  CHECK(renamed("outer", "outer") == Code::message_malformed);
}

}  // namespace
}  // namespace taper::broker
