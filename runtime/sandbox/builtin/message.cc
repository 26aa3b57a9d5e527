#include "runtime/sandbox/builtin/message.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::sandbox {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kProgress = 2;  // in its place
enum class Tag : std::uint8_t { text = 1, integer = 2, boolean = 3 };

Error malformed(const char* what) {
  return Error(Code::message_malformed, {.field = what, .expected = "", .got = "", .fix = ""});
}

using Value = std::variant<std::string, std::int64_t, bool>;

void write_value(ByteWriter& out, const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    out.u8(static_cast<std::uint8_t>(Tag::text)).text(*text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    out.u8(static_cast<std::uint8_t>(Tag::integer)).i64(*integer);
  } else {
    out.u8(static_cast<std::uint8_t>(Tag::boolean)).u8(std::get<bool>(value) ? 1 : 0);
  }
}

bool read_value(ByteReader& in, std::size_t max_bytes, Value& value) {
  switch (static_cast<Tag>(in.u8())) {
    case Tag::text: value = in.text(max_bytes); return in.ok();
    case Tag::integer: value = in.i64(); return in.ok();
    case Tag::boolean: {
      const std::uint8_t byte = in.u8();
      value = byte == 1;
      return in.ok() && byte <= 1;
    }
  }
  return false;
}

Value widen(const FieldValue& value) {
  return std::visit([](const auto& held) { return Value(held); }, value);
}

FieldValue narrow(Value value) {
  return std::visit([](auto& held) { return FieldValue(std::move(held)); }, value);
}

void write_row(ByteWriter& out, const Row& row) {
  out.u16(static_cast<std::uint16_t>(row.size()));
  for (const Field& field : row) {
    out.text(field.name);
    write_value(out, widen(field.value));
  }
}

bool read_row(ByteReader& in, Row& row) {
  const std::size_t count = in.u16();
  if (count > limits::kBuiltinFieldsMax) return false;
  row.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::string name = in.text(limits::kNameBytesMax);
    Value value;
    if (!read_value(in, limits::kBuiltinReplyBytesMax, value) || name.empty()) return false;
    row.push_back({std::move(name), narrow(std::move(value))});
  }
  return in.ok();
}

// What such a cell can answer with; any other code is a cell that lies.
bool is_code_of(authority::ToolKind kind, Code code) {
  const bool servers = code == Code::upstream_drift || code == Code::upstream_broken;
  return code == Code::ok || code == Code::tool_failed || code == Code::tool_input ||
         code == Code::too_large || (servers && kind == authority::ToolKind::upstream);
}

std::string capped(const std::string& text) {
  if (text.size() <= limits::kTextBytesMax) return text;
  return text.substr(0, limits::kTextBytesMax - kCutMark.size()).append(kCutMark);
}

void write_error(ByteWriter& out, const Error& error) {
  const ErrorDetail& detail = error.detail();
  out.u16(static_cast<std::uint16_t>(error.code()));
  out.text(capped(detail.field)).text(capped(detail.expected)).text(capped(detail.got));
}

}  // namespace

Bytes encode_request(const authority::PermitFacts& facts) {
  ByteWriter out;
  out.u8(kVersion).text(facts.tool).u8(facts.writes ? 1 : 0);
  out.u16(static_cast<std::uint16_t>(facts.inputs.size()));
  for (const authority::InputValue& input : facts.inputs) {
    out.text(input.name);
    write_value(out, input.value);
  }
  return std::move(out).bytes();
}

Result<BuiltinRequest> decode_request(ByteSpan bytes) {
  if (bytes.size() > limits::kBuiltinRequestBytesMax) return malformed("request size");
  ByteReader in(bytes);
  if (in.u8() != kVersion) return malformed("request version");
  BuiltinRequest request;
  request.tool = in.text(limits::kNameBytesMax);
  const std::uint8_t writes = in.u8();
  const std::size_t count = in.u16();
  if (!in.ok() || writes > 1 || count > limits::kArgsPerGrantMax) return malformed("request head");
  request.writes = writes == 1;
  for (std::size_t i = 0; i < count; ++i) {
    authority::InputValue input;
    input.name = in.text(limits::kNameBytesMax);
    if (!read_value(in, limits::kArgumentBytesMax, input.value)) return malformed("input");
    request.inputs.push_back(std::move(input));
  }
  if (!in.done()) return malformed("request end");
  return request;
}

Bytes encode_reply(const BuiltinReply& reply) {
  ByteWriter out;
  out.u8(kVersion);
  write_error(out, reply.error);
  if (reply.error.code() == Code::ok) {
    write_row(out, reply.result.fields);
    out.text(reply.result.rows_name);
    out.u32(static_cast<std::uint32_t>(reply.result.rows.size()));
    for (const Row& row : reply.result.rows) write_row(out, row);
  }
  out.u64(reply.cpu_ms);
  if (out.bytes().size() <= limits::kBuiltinReplyBytesMax) return std::move(out).bytes();
  return encode_reply(
      {Error(Code::too_large,
             {.field = "result",
              .expected = "at most " + std::to_string(limits::kBuiltinReplyBytesMax) + " bytes",
              .got = std::to_string(out.bytes().size()),
              .fix = "ask for less"}),
       {},
       reply.cpu_ms});
}

Result<BuiltinReply> decode_reply(ByteSpan bytes, authority::ToolKind kind) {
  if (bytes.size() > limits::kBuiltinReplyBytesMax) return malformed("reply size");
  ByteReader in(bytes);
  if (in.u8() != kVersion) return malformed("reply version");
  const auto code = static_cast<Code>(in.u16());
  std::string field = in.text(limits::kTextBytesMax);
  std::string expected = in.text(limits::kTextBytesMax);
  std::string got = in.text(limits::kTextBytesMax);
  if (!in.ok() || !is_code_of(kind, code)) return malformed("reply code");
  BuiltinReply reply;
  if (code != Code::ok) {
    reply.error = Error(code, {.field = std::move(field),
                               .expected = std::move(expected),
                               .got = std::move(got),
                               .fix = ""});
    reply.cpu_ms = in.u64();
    if (!in.done()) return malformed("reply end");
    return reply;
  }
  if (!field.empty() || !expected.empty() || !got.empty()) return malformed("reply code");
  if (!read_row(in, reply.result.fields)) return malformed("reply fields");
  reply.result.rows_name = in.text(limits::kNameBytesMax);
  const std::size_t rows = in.u32();
  if (!in.ok() || rows > limits::kListEntriesMax) return malformed("reply rows");
  for (std::size_t i = 0; i < rows; ++i) {
    Row row;
    if (!read_row(in, row)) return malformed("reply row");
    reply.result.rows.push_back(std::move(row));
  }
  reply.cpu_ms = in.u64();
  if (!in.done()) return malformed("reply end");
  return reply;
}

Bytes encode_progress(const ToolProgress& progress) {
  ByteWriter out;
  out.u8(kProgress).u64(std::bit_cast<std::uint64_t>(progress.done));
  out.u8(progress.total ? 1 : 0).u64(std::bit_cast<std::uint64_t>(progress.total.value_or(0)));
  return std::move(out.text(progress.message)).bytes();
}

bool is_progress(ByteSpan bytes) { return !bytes.empty() && bytes.front() == kProgress; }

std::optional<ToolProgress> decode_progress(ByteSpan bytes) {
  ByteReader in(bytes);
  const bool known = in.u8() == kProgress;
  ToolProgress progress;
  progress.done = std::bit_cast<double>(in.u64());
  const std::uint8_t has_total = in.u8();
  const auto total = std::bit_cast<double>(in.u64());
  if (has_total == 1) progress.total = total;
  progress.message = in.text(limits::kProgressTextBytesMax);
  const bool fit = in.done() && known && has_total <= 1 && std::isfinite(progress.done) &&
                   std::isfinite(total) && is_utf8(progress.message);
  if (!fit || encode_progress(progress) != to_bytes(bytes)) return std::nullopt;
  return progress;
}

namespace {

using Got = ReadFrame::Got;

// `end` only when the stream ended before the first byte.
Got read_exactly(int socket, std::uint8_t* into, std::size_t size) {
  std::size_t have = 0;
  while (have < size) {
    const ssize_t count = ::read(socket, into + have, size - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Got::broken;
    if (count == 0) return have == 0 ? Got::end : Got::broken;
    have += static_cast<std::size_t>(count);
  }
  return Got::whole;
}

}  // namespace

ReadFrame read_request(int socket) {
  std::array<std::uint8_t, sizeof(std::uint32_t)> head{};
  ReadFrame out{read_exactly(socket, head.data(), head.size()), {}};
  if (out.got != Got::whole) return out;
  const std::size_t size = ByteReader(head).u32();
  if (size > limits::kBuiltinRequestBytesMax) return {Got::too_long, {}};
  out.bytes.resize(size);
  if (read_exactly(socket, out.bytes.data(), size) != Got::whole) return {Got::broken, {}};
  return out;
}

Bytes frame(ByteSpan message) { return ByteWriter().block(message).bytes(); }

}  // namespace taper::sandbox
