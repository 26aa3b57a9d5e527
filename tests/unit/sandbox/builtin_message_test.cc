#include "runtime/sandbox/builtin/message.h"

#include <catch2/catch.hpp>
#include <limits>

#include "runtime/base/limits.h"

using namespace taper;
using namespace taper::sandbox;

namespace {

BuiltinReply sample() {
  BuiltinReply reply;
  reply.result.fields = {{"n", std::int64_t{-5}}, {"b", true}, {"t", std::string("\0\xff", 2)}};
  reply.result.rows_name = "entries";
  reply.result.rows = {{{"name", std::string("a")}}, {}};
  return reply;
}

}  // namespace

TEST_CASE("requests survive the way", "[sandbox]") {
  authority::PermitFacts facts;
  facts.tool = "file.read";
  facts.writes = true;
  facts.inputs = {{"path", std::string("/a")}, {"offset", std::int64_t{7}}, {"flag", false}};
  const Bytes bytes = encode_request(facts);
  const Result<BuiltinRequest> request = decode_request(bytes);
  REQUIRE(request.ok());
  CHECK(request.value().tool == "file.read");
  CHECK(request.value().writes);
  REQUIRE(request.value().inputs.size() == 3);
  CHECK(std::get<std::int64_t>(request.value().inputs[1].value) == 7);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_request(ByteSpan(bytes).first(size)).ok());
  }
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK_FALSE(decode_request(longer).ok());
}

TEST_CASE("replies survive the way", "[sandbox]") {
  const Bytes bytes = encode_reply(sample());
  const Result<BuiltinReply> reply = decode_reply(bytes);
  REQUIRE(reply.ok());
  CHECK(encode_reply(reply.value()) == bytes);
  CHECK(std::get<std::string>(reply.value().result.fields[2].value) == std::string("\0\xff", 2));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_reply(ByteSpan(bytes).first(size)).ok());
  }
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK_FALSE(decode_reply(longer).ok());
  const BuiltinReply failed{
      Error(Code::tool_failed, {.field = "/a", .expected = "", .got = "no", .fix = ""}), {}};
  const Result<BuiltinReply> back = decode_reply(encode_reply(failed));
  REQUIRE(back.ok());
  CHECK(back.value().error.code() == Code::tool_failed);
  CHECK(back.value().error.detail().field == "/a");
}

TEST_CASE("progress survives the way, and nothing else passes for it", "[sandbox]") {
  for (const ToolProgress& progress : {ToolProgress{0.25, 4, "é"}, ToolProgress{-1, {}, ""}}) {
    const Bytes bytes = encode_progress(progress);
    CHECK(is_progress(bytes));
    const auto back = decode_progress(bytes);
    REQUIRE(back);
    CHECK(back->done == progress.done);
    CHECK(back->total == progress.total);
    CHECK(back->message == progress.message);
    CHECK_FALSE(decode_reply(bytes, authority::ToolKind::upstream).ok());
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK_FALSE(decode_progress(ByteSpan(bytes).first(size)));
    Bytes longer = bytes;
    longer.push_back(0);
    CHECK_FALSE(decode_progress(longer));
  }
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {kInfinite, -kInfinite, kNone}) {
    CHECK_FALSE(decode_progress(encode_progress({bad, {}, ""})));
    CHECK_FALSE(decode_progress(encode_progress({1, bad, ""})));
  }
  CHECK_FALSE(decode_progress(encode_progress({1, {}, "\xff"})));
  CHECK_FALSE(decode_progress(
      encode_progress({1, {}, std::string(limits::kProgressTextBytesMax + 1, 'x')})));
  Bytes odd = encode_progress({1, {}, ""});
  odd[10] = 1;  // a total that is said not to be there
  CHECK_FALSE(decode_progress(odd));
  CHECK_FALSE(is_progress(encode_reply(sample())));
}

TEST_CASE("a hostile cell's reply is not believed", "[sandbox]") {
  SECTION("a code that no builtin answers with") {
    for (const Code code : {Code::unset, Code::store_corrupt, Code::internal, Code::violation}) {
      ByteWriter out;
      out.u8(1).u16(static_cast<std::uint16_t>(code)).text("").text("").text("");
      CHECK_FALSE(decode_reply(out.bytes()).ok());
    }
  }
  SECTION("a code that only a server's cell answers with") {
    using enum authority::ToolKind;
    for (const Code code : {Code::upstream_drift, Code::upstream_broken, Code::tool_failed}) {
      const Bytes bytes =
          encode_reply({Error(code, {.field = "x", .expected = "", .got = "", .fix = ""}), {}});
      CHECK(decode_reply(bytes, upstream).ok());
      CHECK(decode_reply(bytes, builtin).ok() == (code == Code::tool_failed));
    }
    for (const Code code : {Code::violation, Code::call_interrupted, Code::drift_ended}) {
      const Bytes bytes =
          encode_reply({Error(code, {.field = "", .expected = "", .got = "", .fix = ""}), {}});
      CHECK_FALSE(decode_reply(bytes, upstream).ok());
    }
  }
  SECTION("a success that carries an error's text") {
    ByteWriter out;
    out.u8(1).u16(1).text("x").text("").text("").u16(0).text("").u32(0);
    CHECK_FALSE(decode_reply(out.bytes()).ok());
  }
  SECTION("counts beyond what follows, or beyond the cap") {
    for (const std::uint32_t rows : {1U, 10'001U, 0xffff'ffffU}) {
      ByteWriter out;
      out.u8(1).u16(1).text("").text("").text("").u16(0).text("entries").u32(rows);
      CHECK_FALSE(decode_reply(out.bytes()).ok());
    }
    ByteWriter out;
    out.u8(1).u16(1).text("").text("").text("").u16(17);
    for (int i = 0; i < 17; ++i) out.text("n").u8(3).u8(0);
    out.text("").u32(0);
    CHECK_FALSE(decode_reply(out.bytes()).ok());
  }
  SECTION("a boolean that is neither, a nameless field, a size beyond the cap") {
    ByteWriter boolean;
    boolean.u8(1).u16(1).text("").text("").text("").u16(1).text("b").u8(3).u8(2).text("").u32(0);
    CHECK_FALSE(decode_reply(boolean.bytes()).ok());
    ByteWriter nameless;
    nameless.u8(1).u16(1).text("").text("").text("").u16(1).text("").u8(3).u8(1).text("").u32(0);
    CHECK_FALSE(decode_reply(nameless.bytes()).ok());
    CHECK_FALSE(decode_reply(Bytes(limits::kBuiltinReplyBytesMax + 1, 1)).ok());
  }
}

TEST_CASE("a reply that grows too long says so", "[sandbox]") {
  BuiltinReply reply;
  reply.result.fields = {{"content", std::string(limits::kBuiltinReplyBytesMax, 'x')}};
  const Bytes bytes = encode_reply(reply);
  CHECK(bytes.size() < 1000);
  const Result<BuiltinReply> back = decode_reply(bytes);
  REQUIRE(back.ok());
  CHECK(back.value().error.code() == Code::too_large);
}
