#include "tests/unit/upstream/upstream_for_tests.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "runtime/edge/mcp/json.h"

namespace taper::testing {

const std::string kEcho =
    R"({"annotations":{"readOnlyHint":true},"description":"Says it again.",)"
    R"("inputSchema":{"properties":{"text":{"type":"string"}},"type":"object"},)"
    R"("name":"echo","title":"Echo"})";

Upstream::Upstream(const std::vector<std::string>& argv) {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  REQUIRE(::setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  const std::string helper = std::string(TAPER_BIN_DIR) + "/taper-upstream";
  std::vector<std::string> words = {"taper-upstream"};
  words.insert(words.end(), argv.begin(), argv.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  child_ = ::fork();
  if (child_ == 0) {
    // Above those two numbers first, so that neither is overwritten before it is moved.
    const int socket = ::fcntl(pair[1], F_DUPFD, 10);
    const int program = ::open(argv.front().c_str(), O_RDONLY);
    const int moved = ::fcntl(program, F_DUPFD, 10);
    ::dup2(socket, 3);
    ::dup2(moved, 4);
    ::close(socket);
    ::close(moved);
    ::execv(helper.c_str(), pointers.data());
    ::_exit(126);
  }
  ::close(pair[1]);
  socket_.reset(pair[0]);
}

Upstream::~Upstream() {
  if (child_ <= 0) return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

std::vector<std::string> Upstream::fake(const std::string& eras, const std::string& mode,
                                        const std::string& log) {
  std::vector<std::string> argv = {
      "/usr/bin/python3", TAPER_SOURCE_DIR "/tests/unit/upstream/fake_server.py", eras, mode};
  if (!log.empty()) argv.push_back(log);
  return argv;
}

void Upstream::send(ByteSpan bytes) { REQUIRE(write_all(socket_.get(), "socket", bytes).ok()); }

void Upstream::ask(std::vector<authority::InputValue> inputs) {
  authority::PermitFacts facts;
  facts.tool = "fake.echo";
  facts.kind = authority::ToolKind::upstream;
  facts.inputs = std::move(inputs);
  send(sandbox::frame(sandbox::encode_request(facts)));
}

sandbox::BuiltinReply Upstream::reply() {
  const auto receive = [&](std::size_t size) {
    Bytes bytes(size);
    for (std::size_t have = 0; have < size;) {
      const ssize_t count = ::read(socket_.get(), bytes.data() + have, size - have);
      REQUIRE(count > 0);
      have += static_cast<std::size_t>(count);
    }
    return bytes;
  };
  Bytes body = receive(ByteReader(receive(4)).u32());
  while (sandbox::is_progress(body)) {
    const auto told = sandbox::decode_progress(body);
    REQUIRE(told);
    progress.push_back(*told);
    body = receive(ByteReader(receive(4)).u32());
  }
  Result<sandbox::BuiltinReply> reply = sandbox::decode_reply(body, authority::ToolKind::upstream);
  REQUIRE(reply.ok());
  return std::move(reply).value();
}

bool Upstream::closed() {
  char byte = 0;
  return ::read(socket_.get(), &byte, 1) == 0;
}

sandbox::BuiltinReply Upstream::definitions(const std::string& era) {
  ask({{"ask", std::string("definitions")}, {"era", era}, {"timeout_ms", std::int64_t{20'000}}});
  return reply();
}

sandbox::BuiltinReply Upstream::call(const std::string& era, const std::string& arguments,
                                     const std::string& pinned, std::int64_t timeout_ms,
                                     const std::vector<authority::InputValue>& more) {
  std::vector<authority::InputValue> inputs = more;
  for (const auto& [name, value] : {std::pair<std::string, std::string>("ask", "call"),
                                    {"name", "echo"},
                                    {"arguments", arguments},
                                    {"pinned", pinned},
                                    {"era", era}})
    inputs.push_back({name, value});
  inputs.push_back({"timeout_ms", timeout_ms});
  ask(std::move(inputs));
  return reply();
}

sandbox::BuiltinReply Upstream::call_with_meta(const std::string& era, const std::string& meta) {
  ask({{"ask", std::string("call")},
       {"name", std::string("echo")},
       {"arguments", std::string("{}")},
       {"pinned", kEcho},
       {"era", era},
       {"timeout_ms", std::int64_t{20'000}},
       {"meta", meta}});
  return reply();
}

int Upstream::finish() {
  socket_.reset();
  int status = 0;
  REQUIRE(::waitpid(child_, &status, 0) == child_);
  child_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

std::string field(const sandbox::BuiltinReply& reply, const std::string& name) {
  for (const sandbox::Field& field : reply.result.fields) {
    if (field.name != name) continue;
    if (const auto* flag = std::get_if<bool>(&field.value)) return *flag ? "true" : "false";
    return std::get<std::string>(field.value);
  }
  return "";
}

std::string echoed(const sandbox::BuiltinReply& reply) {
  INFO(told(reply));
  const std::string result = field(reply, "result");
  REQUIRE(mcp::is_valid_json(result));
  const auto blocks = mcp::read_array(mcp::Object::read(result)->find("content").value_or("[]"));
  REQUIRE(!blocks.empty());
  return mcp::Object::read(blocks.front())->string("text").value_or("");
}

std::string told(const sandbox::BuiltinReply& reply) {
  const ErrorDetail& detail = reply.error.detail();
  std::string text = describe(reply.error.code()).name;
  if (!detail.field.empty()) text += " " + detail.field;
  if (!detail.expected.empty()) text += ": expected " + detail.expected;
  if (!detail.got.empty()) text += ": got " + detail.got;
  return text;
}

}  // namespace taper::testing
