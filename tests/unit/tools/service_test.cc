// A whole connection: lines in, lines out, over a session on a socket.
#include "tools/taper/connect/service.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <thread>

#include "runtime/base/file.h"
#include "tests/unit/tools/served_node.h"

namespace taper::tools {
namespace {

using broker::Ask;

constexpr std::string_view kDescription =
    R"({"task":"00","purpose":"Look after logs","grants":[],"remaining":{"lease_ms":1000}})";
constexpr std::string_view kInitialize =
    R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",)"
    R"("capabilities":{},"clientInfo":{"name":"c","version":"1"}}})";

std::string request(int id, std::string_view method, std::string_view params = "") {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + std::string(method) +
         R"(","params":{)" + std::string(params) + "}}";
}

// The connection runs in a thread of its own, the node's loop in another; the test is the client.
class Life {
 public:
  explicit Life(AtEnd at_end = AtEnd::leave) : at_end_(at_end) {
    prepare();
    int in[2], out[2];
    REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
    their_in_.reset(in[0]);
    to_.reset(in[1]);
    from_.reset(out[0]);
    their_out_.reset(out[1]);
  }
  // Over files instead of a client.
  Life(Fd in, Fd out)
      : at_end_(AtEnd::leave), their_in_(std::move(in)), their_out_(std::move(out)) {
    prepare();
  }
  ~Life() { stop(); }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  void start() {
    node.up();
    node_thread_ = std::thread([this] {
      const auto work = boost::asio::make_work_guard(io);
      io.run();
    });
    served_thread_ = std::thread([this] { serve_it(); });
  }
  void write(std::string_view text) { REQUIRE(write_all(to_.get(), "pipe", as_bytes(text)).ok()); }
  void send(std::string_view line) { write(std::string(line) + "\n"); }
  // The next line, or "" at the end.
  std::string line() {
    for (;;) {
      const std::size_t end = got_.find('\n');
      if (end != std::string::npos) {
        std::string line = got_.substr(0, end);
        got_.erase(0, end + 1);
        return line;
      }
      pollfd entry{from_.get(), POLLIN, 0};
      REQUIRE(::poll(&entry, 1, 20'000) == 1);
      std::array<char, 65536> buffer{};
      const ssize_t length = ::read(from_.get(), buffer.data(), buffer.size());
      if (length <= 0) return "";
      got_.append(buffer.data(), static_cast<std::size_t>(length));
    }
  }
  std::string ask(std::string_view text) {
    send(text);
    return line();
  }
  // What the node does must be done on its own thread.
  void at_node(const std::function<void()>& act) {
    std::atomic<bool> done = false;
    boost::asio::post(io, [&] {
      act();
      done = true;
    });
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // Ends the input and waits for the end of the connection.
  Code end() {
    to_.reset();
    if (served_thread_.joinable()) served_thread_.join();
    return code;
  }
  void read_no_more() { from_.reset(); }
  void stop() {
    to_.reset();
    from_.reset();
    if (served_thread_.joinable()) served_thread_.join();
    if (node_thread_.joinable()) {
      boost::asio::post(io, [this] { node.down(); });
      io.stop();
      node_thread_.join();
    }
  }

  boost::asio::io_context io{1};
  ServedNode node{io};
  Code code = Code::unset;

 private:
  void prepare() {
    node.answers[Ask::describe] = kDescription;
    node.answers[Ask::close] = "{}";
  }
  void serve_it() {
    Service service;
    service.in = their_in_.get();
    service.out = their_out_.get();
    service.at_end = at_end_;
    service.handshake = [this] { return node.holder(); };
    service.link = [this](boost::asio::io_context& own, authority::HolderHandshake handshake,
                          SessionKeeper::Listener listener, Flow flow) {
      return connect(own, node.path(), std::move(handshake), std::move(listener), std::move(flow));
    };
    service.note = [](const std::string&) {};
    code = serve(service).code();
    their_out_.reset();
    their_in_.reset();
  }

  AtEnd at_end_;
  Fd their_in_, their_out_, to_, from_;
  std::string got_;
  std::thread node_thread_, served_thread_;
};

TEST_CASE("A client is served from its first line to its last", "[tools][connect]") {
  Life life;
  life.node.answers[Ask::discover] =
      R"({"tools":[{"name":"t","input_schema":{"type":"object"},"task":"never"}],"fresh_ms":9})";
  life.node.answers[Ask::call] = R"({"content":[{"type":"text","text":"hi"}]})";
  life.start();
  const std::string opened = life.ask(kInitialize);
  CHECK(opened.find("Look after logs") != std::string::npos);
  life.send(R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
  CHECK(life.ask(request(1, "tools/list")).find(R"("name":"t")") != std::string::npos);
  CHECK(life.ask(request(2, "tools/call", R"("name":"t","arguments":{})")).find(R"("text":"hi")") !=
        std::string::npos);
  CHECK(life.end() == Code::ok);
  CHECK(life.line().empty());
  // The end of a connection ends nothing.
  CHECK(life.node.seen == std::vector{Ask::describe, Ask::discover, Ask::call});
}

TEST_CASE("The holder's last word completes the task, where that is wanted", "[tools][connect]") {
  Life life(AtEnd::complete);
  life.start();
  life.ask(kInitialize);
  CHECK(life.end() == Code::ok);
  CHECK(life.node.seen.back() == Ask::close);
}

TEST_CASE("A completion that the node refuses is an error", "[tools][connect]") {
  Life life(AtEnd::complete);
  life.node.codes[Ask::close] = Code::task_not_live;
  life.start();
  life.ask(kInitialize);
  CHECK(life.end() == Code::task_not_live);
}

TEST_CASE("No session is an error before anything was written", "[tools][connect]") {
  Life life;
  life.node.refuses = Code::window_closed;
  life.start();
  life.send(kInitialize);
  CHECK(life.line().empty());
  life.stop();
  CHECK(life.code == Code::window_closed);
}

TEST_CASE("A client need not be restarted when its node is", "[tools][connect]") {
  Life life;
  life.start();
  life.ask(kInitialize);
  life.send(request(1, "tools/call", R"("name":"t")"));
  for (std::size_t seen = 0; seen < 2;) life.at_node([&] { seen = life.node.seen.size(); });
  life.at_node([&] {
    life.node.down();
    life.node.answers[Ask::call] = R"({"content":[]})";
    life.node.up();
  });
  const std::string lost = life.line();
  CHECK(lost.find(R"("id":1,"error":{"code":-32603)") != std::string::npos);
  CHECK(lost.find("done or not") != std::string::npos);
  const std::string changed = life.ask(request(2, "tools/call", R"("name":"t")"));
  CHECK(changed.find("tools/list_changed") != std::string::npos);
  CHECK(life.line().find(R"("id":2,"result")") != std::string::npos);
  life.at_node([&] { CHECK(life.node.admissions == 2); });
}

TEST_CASE("A client that does not read is not read from either", "[tools][connect]") {
  Life life;
  const std::string big(1024 * 1024, 'x');
  life.node.answers[Ask::call] = R"({"content":[{"type":"text","text":")" + big + R"("}]})";
  life.start();
  life.ask(kInitialize);
  constexpr int kCalls = 40;
  for (int i = 1; i <= kCalls; ++i) life.send(request(i, "tools/call", R"("name":"t")"));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  for (int i = 1; i <= kCalls; ++i) {
    const std::string answer = life.line();
    INFO(i);
    CHECK(answer.size() > big.size());
    CHECK(answer.find(R"("id":)" + std::to_string(i) + ",") != std::string::npos);
  }
  CHECK(life.end() == Code::ok);
}

TEST_CASE("A client that goes away ends the connection", "[tools][connect]") {
  Life life;
  life.start();
  life.ask(kInitialize);
  life.read_no_more();
  life.send(request(1, "ping"));
  life.stop();
  CHECK(life.code == Code::ok);
}

TEST_CASE("Files do for stdin and stdout", "[tools][connect]") {
  testing::ScratchDirectory folder;
  const std::string lines = std::string(kInitialize) + "\n" + request(1, "ping") + "\n";
  REQUIRE(create_file(folder / "in", as_bytes(lines), 0600).ok());
  Life life(Fd(::open((folder / "in").c_str(), O_RDONLY | O_CLOEXEC)),
            Fd(::open((folder / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
  life.start();
  CHECK(life.end() == Code::ok);
  const Result<Bytes> out = read_file(folder / "out", 65536);
  REQUIRE(out.ok());
  CHECK(as_text(*out).find(R"({"jsonrpc":"2.0","id":1,"result":{}})") != std::string_view::npos);
}

TEST_CASE("A line in pieces is one line, and nothing but lines goes out", "[tools][connect]") {
  Life life;
  life.start();
  const std::string text = std::string(kInitialize) + "\n" + request(1, "ping") + "\n";
  for (const char c : text) life.write({&c, 1});
  CHECK(life.line().find(R"("id":0)") != std::string::npos);
  CHECK(life.line() == R"({"jsonrpc":"2.0","id":1,"result":{}})");
}

}  // namespace
}  // namespace taper::tools
