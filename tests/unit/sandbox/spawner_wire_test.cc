#include <catch2/catch.hpp>

#include "runtime/sandbox/wire.h"

namespace taper::sandbox {
namespace {

CellOrder sample_order() {
  CellOrder order;
  order.cell = 7;
  order.kind = authority::ToolKind::command;
  order.deadline_boot_ms = -5;
  order.trees = {{"/a", true, false}, {"/b/c", false, true}, {"/d", true, false, true}};
  order.argv = {"/bin/true", "", "x"};
  order.env = {"A=", "B=c=d"};
  return order;
}

}  // namespace

TEST_CASE("orders come back as they were sent", "[sandbox][cell]") {
  const CellOrder sent = sample_order();
  const auto got = decode_order(encode_order(sent));
  REQUIRE(got.ok());
  const auto& order = std::get<CellOrder>(*got);
  CHECK(order.cell == sent.cell);
  CHECK(order.deadline_boot_ms == sent.deadline_boot_ms);
  CHECK(order.trees == sent.trees);
  CHECK(order.argv == sent.argv);
  CHECK(order.env == sent.env);
  CHECK(order.entry.empty());
  CHECK(order.caps.memory_bytes == sent.caps.memory_bytes);
  const auto kill = decode_order(encode_order(KillOrder{{1, 2, 3}}));
  REQUIRE(kill.ok());
  CHECK(std::get<KillOrder>(*kill).cells == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE("no cut or lengthened order is taken", "[sandbox][cell]") {
  const Bytes whole = encode_order(sample_order());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(decode_order(ByteSpan(whole).first(size)).code() == Code::message_malformed);
  }
  Bytes longer = whole;
  longer.push_back(0);
  CHECK(decode_order(longer).code() == Code::message_malformed);
}

TEST_CASE("orders outside their limits are not taken", "[sandbox][cell]") {
  const auto refused = [](auto change) {
    CellOrder order = sample_order();
    change(order);
    return decode_order(encode_order(order)).code() == Code::message_malformed;
  };
  CHECK(refused([](CellOrder& order) { order.kind = authority::ToolKind::unset; }));
  CHECK(refused([](CellOrder& order) { order.argv.clear(); }));
  CHECK(refused([](CellOrder& order) { order.argv.resize(limits::kArgvWordsMax + 1); }));
  CHECK(refused([](CellOrder& order) { order.trees.resize(limits::kTreesMax + 1); }));
  CHECK(refused([](CellOrder& order) {
    order.kind = authority::ToolKind::upstream;
    order.argv.clear();
  }));
  CHECK(refused([](CellOrder& order) { order.kind = authority::ToolKind{5}; }));
  CHECK(refused([](CellOrder& order) { order.trees[2].writable = true; }));
  CHECK(refused([](CellOrder& order) { order.trees[0].path = "relative"; }));
  CHECK(refused([](CellOrder& order) { order.trees[0].path = std::string("/a\0b", 4); }));
  CHECK(refused([](CellOrder& order) { order.argv[1] = std::string("a\0b", 3); }));
  CHECK(refused([](CellOrder& order) { order.env[1] = std::string("a\0b", 3); }));
  CHECK(refused([](CellOrder& order) { order.env.resize(limits::kToolEnvMax + 1); }));
  CHECK(refused([](CellOrder& order) {
    order.kind = authority::ToolKind::builtin;
    order.argv.clear();
  }));
}

TEST_CASE("an order's entry is a server's or an agent's, and only files that nobody writes",
          "[sandbox][cell]") {
  const auto taken = [](auto change) {
    CellOrder order = sample_order();
    order.kind = authority::ToolKind::upstream;
    order.entry = {{"/d/x", false, false, true}};
    change(order);
    const auto got = decode_order(encode_order(order));
    return got.ok() && std::get<CellOrder>(*got).entry == order.entry;
  };
  CHECK(taken([](CellOrder&) {}));
  CHECK(taken([](CellOrder& order) { order.kind = authority::ToolKind::agent; }));
  CHECK_FALSE(taken([](CellOrder& order) { order.kind = authority::ToolKind::command; }));
  CHECK_FALSE(taken([](CellOrder& order) { order.entry[0].directory = true; }));
  CHECK_FALSE(taken([](CellOrder& order) { order.entry[0] = {"/d/x", false, true}; }));
  CHECK_FALSE(taken([](CellOrder& order) { order.entry[0].path = "x"; }));
  CHECK_FALSE(taken(
      [](CellOrder& order) { order.entry.resize(limits::kEntryFilesMax + 1, order.entry[0]); }));
}

TEST_CASE("news come back as they were sent, long texts cut", "[sandbox][cell]") {
  CellGone gone;
  gone.cell = 9;
  gone.end = CellEnd::refused;
  gone.code = Code::tree_missing;
  gone.field = std::string(100'000, 'f');
  gone.got = "why";
  const Bytes bytes = encode_news(gone);
  CHECK(bytes.size() <= limits::kCellNewsBytesMax);
  const auto got = decode_news(bytes);
  REQUIRE(got.ok());
  CHECK(std::get<CellGone>(*got).code == Code::tree_missing);
  CHECK(std::get<CellGone>(*got).got == "why");
}

}  // namespace taper::sandbox
