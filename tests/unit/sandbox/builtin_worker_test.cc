#include "runtime/sandbox/builtin/worker.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/sandbox/builtin/message.h"
#include "runtime/sandbox/landlock.h"
#include "runtime/sandbox/seccomp/filter.h"

using namespace taper;
using namespace taper::sandbox;
using authority::GrantedTree;
using authority::InputValue;
using authority::PermitFacts;

namespace {

std::string make_folder() {
  REQUIRE(crypto::initialise().ok());
  std::string path = "/tmp/taper-builtin-XXXXXX";
  REQUIRE(::mkdtemp(path.data()) != nullptr);
  return path;
}

// A worker bound by Landlock and the builtin filter, in a process of its own.
class Worker {
 public:
  explicit Worker(std::vector<GrantedTree> trees) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    seccomp_filter(SeccompProfile::builtin);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(pair[0]);
      ::_exit(serve(pair[1], trees));
    }
    ::close(pair[1]);
    socket_.reset(pair[0]);
  }
  ~Worker() {
    if (child_ > 0) finish();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The exit status, or 1000 + the signal.
  int finish() {
    socket_.reset();
    int status = 0;
    REQUIRE(::waitpid(child_, &status, 0) == child_);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  void send(ByteSpan bytes) const { REQUIRE(write_all(socket_.get(), "socket", bytes).ok()); }

  BuiltinReply call(std::string tool, std::vector<InputValue> inputs, bool writes = true) const {
    PermitFacts facts;
    facts.tool = std::move(tool);
    facts.inputs = std::move(inputs);
    facts.writes = writes;
    send(frame(encode_request(facts)));
    const Bytes head = receive(4);
    Result<BuiltinReply> reply = decode_reply(receive(ByteReader(head).u32()));
    REQUIRE(reply.ok());
    return std::move(reply).value();
  }

 private:
  static int serve(int socket, const std::vector<GrantedTree>& trees) {
    std::vector<Fd> held;
    std::vector<LandlockRule> rules;
    for (const GrantedTree& tree : trees) {
      held.emplace_back(::open(tree.path.c_str(), O_PATH | O_CLOEXEC));
      const LandlockAccess access =
          tree.directory ? (tree.writable ? LandlockAccess::write_tree : LandlockAccess::read_tree)
                         : (tree.writable ? LandlockAccess::write_file : LandlockAccess::read_file);
      rules.push_back({held.back().get(), access});
    }
    if (!restrict_landlock(rules).ok()) return 98;
    if (!install_seccomp(SeccompProfile::builtin).ok()) return 99;
    return serve_builtins(socket, trees);
  }
  Bytes receive(std::size_t size) const {
    Bytes bytes(size);
    std::size_t have = 0;
    while (have < size) {
      const ssize_t count = ::read(socket_.get(), bytes.data() + have, size - have);
      REQUIRE(count > 0);
      have += static_cast<std::size_t>(count);
    }
    return bytes;
  }
  pid_t child_ = -1;
  Fd socket_;
};

struct Fixture {
  std::string folder = make_folder();
  std::string tree = folder + "/tree";
  Fixture() {
    REQUIRE(::mkdir(tree.c_str(), 0755) == 0);
    put("a.txt", "hello world");
  }
  ~Fixture() { std::filesystem::remove_all(folder); }
  void put(const std::string& name, std::string_view text) const {
    REQUIRE(replace_file(tree + "/" + name, as_bytes(text), 0644).ok());
  }
  std::string get(const std::string& name) const {
    const Result<Bytes> bytes = read_file(tree + "/" + name, 1 << 20);
    return bytes.ok() ? std::string(as_text(*&bytes.value())) : "<missing>";
  }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(tree), {}));
  }
  GrantedTree granted(bool writable = true) const {
    return {.path = tree, .directory = true, .writable = writable};
  }
};

const FieldValue* field(const Row& row, std::string_view name) {
  for (const Field& one : row) {
    if (one.name == name) return &one.value;
  }
  return nullptr;
}
template <class T>
T get(const Row& row, std::string_view name) {
  const FieldValue* value = field(row, name);
  REQUIRE(value != nullptr);
  REQUIRE(std::holds_alternative<T>(*value));
  return std::get<T>(*value);
}
using std::int64_t;

}  // namespace

TEST_CASE("file.read gives ranges", "[sandbox][R1]") {
  const Fixture files;
  const Worker worker({files.granted(false)});
  const std::string path = files.tree + "/a.txt";
  BuiltinReply reply = worker.call("file.read", {{"path", path}});
  REQUIRE(reply.error.code() == Code::ok);
  CHECK(get<std::string>(reply.result.fields, "content") == "hello world");
  CHECK(get<int64_t>(reply.result.fields, "size") == 11);
  CHECK(get<int64_t>(reply.result.fields, "bytes") == 11);
  CHECK(get<bool>(reply.result.fields, "eof"));
  reply =
      worker.call("file.read", {{"path", path}, {"offset", int64_t{2}}, {"max_bytes", int64_t{3}}});
  CHECK(get<std::string>(reply.result.fields, "content") == "llo");
  CHECK_FALSE(get<bool>(reply.result.fields, "eof"));
  reply = worker.call("file.read", {{"path", path}, {"offset", int64_t{INT64_MAX}}});
  CHECK(get<int64_t>(reply.result.fields, "bytes") == 0);
  CHECK(get<bool>(reply.result.fields, "eof"));
  CHECK(worker.call("file.read", {{"path", path}, {"offset", int64_t{-1}}}).error.code() ==
        Code::tool_input);
  CHECK(worker.call("file.read", {{"path", path}, {"max_bytes", int64_t{1} << 40}}).error.code() ==
        Code::tool_input);
  CHECK(worker.call("file.read", {{"path", path}, {"max_bytes", std::string("1")}}).error.code() ==
        Code::tool_input);
}

TEST_CASE("reading stays in the tree and never blocks", "[sandbox]") {
  const Fixture files;
  REQUIRE(replace_file(files.folder + "/secret", as_bytes("secret"), 0644).ok());
  REQUIRE(::symlink("../secret", (files.tree + "/link").c_str()) == 0);
  REQUIRE(::symlink("..", (files.tree + "/up").c_str()) == 0);
  REQUIRE(::mkfifo((files.tree + "/pipe").c_str(), 0600) == 0);
  const Worker worker({files.granted(false)});
  for (const std::string& path : std::vector<std::string>{
           files.folder + "/secret", files.tree + "/link", files.tree + "/up/secret",
           files.tree + "/pipe", files.tree, files.tree + "/none", files.tree + "x/a.txt",
           std::string("/etc/passwd"), std::string("/dev/zero")}) {
    INFO(path);
    const BuiltinReply reply = worker.call("file.read", {{"path", path}});
    CHECK(reply.error.code() == Code::tool_failed);
    CHECK(reply.error.detail().field == path);
    CHECK_FALSE(reply.error.detail().got.empty());
  }
  for (const std::string& path : {files.tree + "/../secret", files.tree + "//a.txt",
                                  files.tree + "/", files.tree + "/./a.txt", std::string("a.txt"),
                                  std::string(""), files.tree + std::string("/a\0b", 4)}) {
    CHECK(worker.call("file.read", {{"path", path}}).error.code() == Code::tool_input);
  }
}

TEST_CASE("file.list and file.stat tell names, types and sizes", "[sandbox][R1]") {
  const Fixture files;
  files.put("b", "12");
  REQUIRE(::symlink("a.txt", (files.tree + "/link").c_str()) == 0);
  REQUIRE(::mkdir((files.tree + "/sub").c_str(), 0750) == 0);
  REQUIRE(::mkfifo((files.tree + "/pipe").c_str(), 0600) == 0);
  const Worker worker({files.granted(false)});
  BuiltinReply reply = worker.call("file.list", {{"path", files.tree}});
  REQUIRE(reply.error.code() == Code::ok);
  CHECK(reply.result.rows_name == "entries");
  REQUIRE(reply.result.rows.size() == 5);
  std::string names;
  for (const Row& row : reply.result.rows) {
    names += get<std::string>(row, "name") + ":" + get<std::string>(row, "type") + " ";
  }
  CHECK(names == "a.txt:file b:file link:symlink pipe:fifo sub:directory ");
  CHECK(get<std::string>(reply.result.rows[1], "path") == files.tree + "/b");
  CHECK(get<int64_t>(reply.result.rows[1], "size") == 2);
  CHECK_FALSE(get<bool>(reply.result.fields, "truncated"));
  reply = worker.call("file.list", {{"path", files.tree}, {"max_entries", int64_t{2}}});
  CHECK(reply.result.rows.size() == 2);
  CHECK(get<std::string>(reply.result.rows[1], "name") == "b");
  CHECK(get<bool>(reply.result.fields, "truncated"));
  reply = worker.call("file.stat", {{"path", files.tree + "/sub"}});
  CHECK(get<std::string>(reply.result.fields, "type") == "directory");
  CHECK(get<int64_t>(reply.result.fields, "mode") == 0750);
  CHECK(get<std::string>(worker.call("file.stat", {{"path", files.tree + "/link"}}).result.fields,
                         "type") == "symlink");
  CHECK(get<std::string>(worker.call("file.stat", {{"path", files.tree + "/pipe"}}).result.fields,
                         "type") == "fifo");
  CHECK(worker.call("file.list", {{"path", files.tree + "/a.txt"}}).error.code() ==
        Code::tool_failed);
  CHECK(worker.call("file.list", {{"path", files.folder}}).error.code() == Code::tool_failed);
}

TEST_CASE("file.write creates and replaces whole files", "[sandbox][R1]") {
  const Fixture files;
  const Worker worker({files.granted()});
  const std::string path = files.tree + "/new";
  BuiltinReply reply = worker.call("file.write", {{"path", path}, {"content", std::string("one")}});
  REQUIRE(reply.error.code() == Code::ok);
  CHECK(get<bool>(reply.result.fields, "created"));
  CHECK(get<int64_t>(reply.result.fields, "bytes") == 3);
  CHECK(files.get("new") == "one");
  REQUIRE(::chmod(path.c_str(), 04750) == 0);
  reply = worker.call(
      "file.write",
      {{"path", path}, {"content", std::string("AAEC")}, {"encoding", std::string("base64")}});
  REQUIRE(reply.error.code() == Code::ok);
  CHECK_FALSE(get<bool>(reply.result.fields, "created"));
  CHECK(files.get("new") == std::string("\0\1\2", 3));
  struct stat facts{};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 07777) == 0640);
  CHECK(files.entries() == 2);
}

TEST_CASE("the next write of a file removes what a killed one left behind", "[sandbox]") {
  const Fixture files;
  const std::string path = files.tree + "/new";
  const std::string tag = to_hex(crypto::hash(as_bytes("new")).span().first(8));
  const std::string left = ".taper-" + tag + "-0.tmp";
  files.put(left, "half");
  const Worker worker({files.granted()});
  // One that is being written is not taken for a leftover.
  const Fd busy(::open((files.tree + "/" + left).c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(::flock(busy.get(), LOCK_EX | LOCK_NB) == 0);
  REQUIRE(
      worker.call("file.write", {{"path", path}, {"content", std::string("one")}}).error.code() ==
      Code::ok);
  CHECK(files.get(left) == "half");
  REQUIRE(::flock(busy.get(), LOCK_UN) == 0);
  REQUIRE(
      worker.call("file.write", {{"path", path}, {"content", std::string("two")}}).error.code() ==
      Code::ok);
  CHECK(files.get("new") == "two");
  CHECK(files.entries() == 2);
}

TEST_CASE("a refused or failed write changes nothing and leaves nothing", "[sandbox]") {
  const Fixture files;
  REQUIRE(replace_file(files.folder + "/outside", as_bytes("old"), 0644).ok());
  REQUIRE(::symlink("../outside", (files.tree + "/link").c_str()) == 0);
  REQUIRE(::mkfifo((files.tree + "/pipe").c_str(), 0600) == 0);
  REQUIRE(::link((files.tree + "/a.txt").c_str(), (files.tree + "/hard").c_str()) == 0);
  const std::size_t before = files.entries();
  const InputValue content{"content", std::string("new")};
  SECTION("by kind of file") {
    const Worker worker({files.granted()});
    for (const std::string name : {"link", "pipe"}) {
      for (const std::string tool : {"file.write", "file.append"}) {
        CHECK(worker.call(tool, {{"path", files.tree + "/" + name}, content}).error.code() ==
              Code::tool_failed);
      }
    }
    CHECK(worker.call("file.append", {{"path", files.tree + "/hard"}, content}).error.code() ==
          Code::tool_failed);
    CHECK(worker.call("file.write", {{"path", files.folder + "/x"}, content}).error.code() ==
          Code::tool_failed);
    CHECK(worker.call("file.write", {{"path", files.tree}, content}).error.code() ==
          Code::tool_failed);
    CHECK(worker
              .call("file.write", {{"path", files.tree + "/x"},
                                   {"content", std::string("A")},
                                   {"encoding", std::string("base64")}})
              .error.code() == Code::tool_input);
  }
  SECTION("by permit and by tree") {
    const Worker worker({files.granted()});
    CHECK(worker.call("file.write", {{"path", files.tree + "/x"}, content}, false).error.code() ==
          Code::tool_failed);
    const Worker reader({files.granted(false)});
    CHECK(reader.call("file.write", {{"path", files.tree + "/x"}, content}).error.code() ==
          Code::tool_failed);
    CHECK(reader.call("file.append", {{"path", files.tree + "/a.txt"}, content}).error.code() ==
          Code::tool_failed);
  }
  CHECK(files.entries() == before);
  CHECK(files.get("../outside") == "old");
  CHECK(files.get("a.txt") == "hello world");
}

TEST_CASE("file.append creates, then adds", "[sandbox][R1]") {
  const Fixture files;
  const Worker worker({files.granted()});
  const std::string path = files.tree + "/log";
  for (const int64_t size : {3, 6}) {
    const BuiltinReply reply =
        worker.call("file.append", {{"path", path}, {"content", std::string("abc")}});
    REQUIRE(reply.error.code() == Code::ok);
    CHECK(get<int64_t>(reply.result.fields, "size") == size);
  }
  CHECK(files.get("log") == "abcabc");
}

TEST_CASE("a single file is reached at its path and nothing beside it", "[sandbox]") {
  const Fixture files;
  files.put("b", "beside");
  const std::string path = files.tree + "/a.txt";
  const Worker worker({{.path = path, .directory = false, .writable = true}});
  CHECK(get<std::string>(worker.call("file.read", {{"path", path}}).result.fields, "content") ==
        "hello world");
  CHECK(worker.call("file.read", {{"path", files.tree + "/b"}}).error.code() == Code::tool_failed);
  CHECK(worker.call("file.list", {{"path", files.tree}}).error.code() == Code::tool_failed);
  const InputValue content{"content", std::string("!")};
  CHECK(worker.call("file.append", {{"path", path}, content}).error.code() == Code::ok);
  CHECK(worker.call("file.write", {{"path", path}, content}).error.code() == Code::tool_failed);
  CHECK(files.get("a.txt") == "hello world!");
}

TEST_CASE("time.now tells the wall clock", "[sandbox]") {
  const Worker worker({});
  const BuiltinReply reply = worker.call("time.now", {});
  REQUIRE(reply.error.code() == Code::ok);
  const int64_t now_s = get<int64_t>(reply.result.fields, "unix_s");
  CHECK(now_s > 1'700'000'000);
  CHECK(parse_utc_s(get<std::string>(reply.result.fields, "utc")) == now_s);
  CHECK(worker.call("no.such", {}).error.code() == Code::tool_input);
}

TEST_CASE("the worker ends with the stream and on broken framing", "[sandbox]") {
  SECTION("clean") { CHECK(Worker({}).finish() == 0); }
  SECTION("half a frame") {
    Worker worker({});
    worker.send(Bytes{9, 0, 0, 0, 1});
    CHECK(worker.finish() == 1);
  }
  SECTION("too long") {
    Worker worker({});
    worker.send(Bytes{0xff, 0xff, 0xff, 0xff});
    CHECK(worker.finish() == 2);
  }
  SECTION("garbage") {
    Worker worker({});
    worker.send(Bytes{3, 0, 0, 0, 1, 2, 3});
    CHECK(worker.finish() == 2);
  }
}
