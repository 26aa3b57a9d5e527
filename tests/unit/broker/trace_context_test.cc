// Which trace contexts are passed on: those that W3C Trace Context and W3C Baggage would write.
#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "runtime/broker/session_messages.h"

namespace taper::broker {
namespace {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kParent = "00-" + kTrace + "-b7ad6b7169203331-01";

TEST_CASE("a traceparent has one form", "[broker][session]") {
  CHECK(fit({kParent, "", ""}).parent == kParent);
  CHECK(fit({"cc" + kParent.substr(2), "", ""}).parent == "cc" + kParent.substr(2));
  CHECK(trace_id({kParent, "", ""}) == kTrace);
  CHECK(trace_id({}).empty());
  std::string upper = kParent;
  upper[5] = 'A';
  for (const std::string& bad :
       {std::string(), std::string("x"), kParent + "0", kParent.substr(1), upper,
        "ff" + kParent.substr(2), "00-" + std::string(32, '0') + kParent.substr(35),
        kParent.substr(0, 36) + std::string(16, '0') + "-01", kParent.substr(0, 52) + "_01",
        "00_" + kParent.substr(3), kParent.substr(0, 54) + "\n"}) {
    CAPTURE(bad);
    CHECK(fit({bad, "a=b", ""}) == TraceContext{});
  }
}

TEST_CASE("a tracestate is of a parent, and bounded", "[broker][session]") {
  const auto kept = [](const std::string& state) {
    return !fit({kParent, state, ""}).state.empty();
  };
  for (const char* good :
       {"a=b", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1 , b=2,,c=3", "1a-_*/@x=x y;z:~"}) {
    CAPTURE(good);
    CHECK(kept(good));
    CHECK(fit({"", good, ""}).state.empty());
  }
  const std::string full = "a=" + std::string(limits::kTraceStateBytesMax / 2, 'x');
  CHECK(kept(full));
  for (const std::string& bad :
       {std::string("a"), std::string("=b"), std::string("a="), std::string("A=b"),
        std::string("a=b=c"), std::string("a=\x7f"), std::string("a=\n"), std::string("a b=c"),
        "a=" + std::string(257, 'x'), std::string(257, 'a') + "=b", full + "," + full}) {
    CAPTURE(bad);
    CHECK_FALSE(kept(bad));
  }
  std::string many = "a=b";
  for (std::size_t i = 1; i < limits::kTraceStateMembersMax; ++i) many += ",a=b";
  CHECK(kept(many));
  CHECK_FALSE(kept(many + ",a=b"));
}

TEST_CASE("baggage is pairs that say no more than their form lets them", "[broker][session]") {
  const auto kept = [](const std::string& text) { return !fit({"", "", text}).baggage.empty(); };
  for (const char* good : {"k=v", "userId=alice,serverNode=DF%2028,isProduction=false",
                           "k = v ; p ; q = r , l=", "k=a=b", "k!#=%22"}) {
    CAPTURE(good);
    CHECK(kept(good));
  }
  for (const std::string& bad :
       {std::string("k"), std::string("=v"), std::string("k=v,"), std::string("k=a b"),
        std::string("k=\"v\""), std::string("k=v\n"), std::string("k=\xc3\xa9"),
        std::string("k\\=v"), std::string("k=v;=x"), std::string("k=v; p q"),
        "k=" + std::string(limits::kBaggageBytesMax, 'v')}) {
    CAPTURE(bad);
    CHECK_FALSE(kept(bad));
  }
  std::string many = "a=b";
  for (std::size_t i = 1; i < limits::kBaggageMembersMax; ++i) many += ",a=b";
  CHECK(kept(many));
  CHECK_FALSE(kept(many + ",a=b"));
}

TEST_CASE("a context that is not fit is no message", "[broker][session]") {
  SessionRequest request;
  request.ask = Ask::call;
  request.tool = "t";
  request.progress = true;
  request.trace = {kParent, "a=b", "k=v"};
  const auto back = decode_session_message(encode(SessionMessage(request)));
  REQUIRE(back.ok());
  CHECK(std::get<SessionRequest>(*back).trace == request.trace);
  CHECK(std::get<SessionRequest>(*back).progress);
  for (const TraceContext& bad : {TraceContext{"x", "", ""}, TraceContext{"", "a=b", ""},
                                  TraceContext{kParent, "a", ""}, TraceContext{"", "", "k"}}) {
    request.trace = bad;
    CHECK(decode_session_message(encode(SessionMessage(request))).code() ==
          Code::message_malformed);
  }
  // Of an ask that makes no call it is not carried.
  request.ask = Ask::describe;
  const auto plain = decode_session_message(encode(SessionMessage(request)));
  REQUIRE(plain.ok());
  CHECK_FALSE(std::get<SessionRequest>(*plain).progress);
  CHECK(std::get<SessionRequest>(*plain).trace == TraceContext{});
}

}  // namespace
}  // namespace taper::broker
