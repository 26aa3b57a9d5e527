#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/connect/service.h"
#include "tools/taper/connect_config.h"
#include "tools/taper/connect_node.h"
#include "tools/taper/keys.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

namespace fs = std::filesystem;

struct Connect {
  std::string file, key, state, socket;
  std::string print, write, config, name = "taper";
  bool complete = false;
  PassphraseOptions passphrase;
};

// At most what a pipe takes at once, and nothing where nobody reads: a client need not look at
// stderr.
void note_on_stderr(const std::string& line) {
  std::string text = "taper: " + escape_text(line);
  text.resize(std::min<std::size_t>(text.size(), PIPE_BUF - 1));
  text += '\n';
  pollfd entry{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&entry, 1, 0) == 1 && (entry.revents & POLLOUT) != 0)
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

Result<std::string> absolute(const std::string& path) {
  std::error_code error;
  const fs::path found = fs::canonical(path, error);
  if (error)
    return Error(Code::file_missing,
                 {.field = path, .expected = "", .got = error.message(), .fix = ""});
  return found.string();
}

Status check_node_options(const Connect& options) {
  if (options.state.empty() == options.socket.empty())
    return usage_error("--state, --socket", "one of the two",
                       options.state.empty() ? "neither" : "both");
  return success();
}

// The capsule as it says itself: where it may be spent, and that the key is its holder's. The node
// verifies it.
struct Held {
  Bytes file;
  capsules::UntrustedCapsule capsule;
  authority::HolderHandshake::Audience audience;
  PublicKey holder;
};

Result<Held> read_held(const std::string& path) {
  TAPER_TRY(Bytes file, read_capsule(path));
  TAPER_TRY(capsules::UntrustedCapsule capsule, capsules::read_untrusted(file, {}));
  if (capsule.root.entry != capsules::EntryKind::session)
    return Error(Code::entry_other,
                 {.field = "entry",
                  .expected = "a session",
                  .got = capsule.root.entry == capsules::EntryKind::agent ? "an agent" : "a plan",
                  .fix = ""});
  const PublicKey holder =
      capsule.blocks.empty() ? capsule.root.holder : capsule.blocks.back().holder;
  const authority::HolderHandshake::Audience audience{
      capsule.root.fleet, capsule.root.audience.node, capsule.root.audience.incarnation};
  return Held{std::move(file), std::move(capsule), audience, holder};
}

Status check_holder(const Held& held, const PublicKey& key, const std::string& path) {
  if (key == held.holder) return success();
  return Error(Code::proof_wrong,
               {.field = path,
                .expected = "the holder's key " + crypto::public_key_text(held.holder),
                .got = crypto::public_key_text(key),
                .fix = ""});
}

// Where sessions are served: the socket named, or that of the state's daemon.
Result<std::string> session_socket(const Connect& options) {
  if (!options.socket.empty()) return options.socket;
  TAPER_TRY(const authority::NodeRecord node, broker::node_record(options.state));
  static_cast<void>(node);
  return options.state + "/agent.sock";
}

// Whoever serves the state, or a broker in this process where nobody does. One that was there
// before is given time to come back: a daemon that is restarted must find its state free.
class Node {
 public:
  Node(const Connect& options, std::string path) : options_(options), path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  Result<Fd> reach() {
    Result<Fd> socket = open_socket(path_);
    if (socket.ok()) {
      met_ = true;
      absent_since_ms_.reset();
    }
    const bool absent = socket.code() == Code::control_unreachable;
    if (!absent || options_.state.empty() || (met_ && !is_long_absent())) return socket;
    TAPER_CHECK(embedded_.start(options_.state, options_.key));
    return open_socket(path_);
  }

 private:
  bool is_long_absent() {
    const std::int64_t now_ms = clock_.now().boot_ms;
    if (!absent_since_ms_) absent_since_ms_ = now_ms;
    return now_ms - *absent_since_ms_ >= limits::kConnectPatienceMs / 2;
  }

  const Connect& options_;
  std::string path_;
  SystemClock clock_;
  bool met_ = false;
  std::optional<std::int64_t> absent_since_ms_;
  EmbeddedNode embedded_;
};

Status serve_client(const Connect& options) {
  TAPER_TRY(const Held held, read_held(options.file));
  TAPER_TRY(const crypto::SigningKey key,
            open_key(options.key, crypto::Role::holder, options.passphrase));
  TAPER_CHECK(check_holder(held, key.public_key(), options.key));
  TAPER_CHECK(broker::check_keys_apart(held.capsule, options.key));
  TAPER_TRY(std::string socket, session_socket(options));
  Node node(options, std::move(socket));
  Service service;
  service.at_end = options.complete ? AtEnd::complete : AtEnd::leave;
  service.handshake = [&held, &key] {
    return authority::HolderHandshake(held.file, held.audience, [&key](ByteSpan statement) {
      return key.sign(crypto::statement::kSession, statement);
    });
  };
  service.link = [&node](boost::asio::io_context& io, authority::HolderHandshake handshake,
                         SessionKeeper::Listener listener,
                         Flow flow) -> Result<std::unique_ptr<SessionLink>> {
    TAPER_TRY(Fd connected, node.reach());
    return link_over(io, std::move(connected), node.path(), std::move(handshake),
                     std::move(listener), std::move(flow));
  };
  service.note = note_on_stderr;
  if (::isatty(STDIN_FILENO) != 0)
    note_on_stderr("stdin is a terminal; an MCP client starts this by itself, see --print");
  return serve(service);
}

// What a client is to run: this program, with every path as it is from the root.
Result<Entry> entry_of(const Connect& options, Output& out) {
  TAPER_TRY(const std::string program, absolute("/proc/self/exe"));
  TAPER_TRY(const Held held, read_held(options.file));
  TAPER_TRY(const crypto::KeyFileInfo key, crypto::inspect_key_file(options.key));
  TAPER_CHECK(check_holder(held, key.key, options.key));
  TAPER_CHECK(broker::check_keys_apart(held.capsule, options.key));
  TAPER_TRY(const std::string file, absolute(options.file));
  TAPER_TRY(const std::string key_file, absolute(options.key));
  Entry entry{options.name, program, {"connect", file, "--key", key_file}};
  const auto add = [&entry](const char* option, const std::string& value) {
    entry.args.emplace_back(option);
    entry.args.push_back(value);
  };
  if (!options.state.empty()) {
    TAPER_TRY(const std::string state, absolute(options.state));
    add("--state", state);
  } else {
    add("--socket", fs::absolute(options.socket).lexically_normal().string());
  }
  if (!options.passphrase.file.empty()) {
    TAPER_TRY(const std::string passphrase, absolute(options.passphrase.file));
    add("--passphrase-file", passphrase);
  } else if (key.locked) {
    out.note("the key is locked and a client has no terminal to ask on: add --passphrase-file");
  }
  if (options.complete) entry.args.emplace_back("--complete");
  TAPER_CHECK(check_entry(entry));
  return entry;
}

Result<const Client*> client_option(const std::string& option, const std::string& name) {
  if (const Client* found = find_client(name)) return found;
  std::string names;
  for (const Client& client : clients())
    names += (names.empty() ? "" : ", ") + std::string(client.name);
  return usage_error(option, names, name);
}

Status connect(const Connect& options, Output& out) {
  TAPER_CHECK(check_node_options(options));
  if (!options.print.empty()) {
    TAPER_TRY(const Client* client, client_option("--print", options.print));
    TAPER_TRY(const Entry entry, entry_of(options, out));
    return print_config(*client, entry, out);
  }
  if (!options.write.empty()) {
    TAPER_TRY(const Client* client, client_option("--write", options.write));
    TAPER_TRY(const Entry entry, entry_of(options, out));
    return write_config(*client, entry, options.config, out);
  }
  if (out.json) return usage_error("--json", "--print or --write beside it", "neither");
  return serve_client(options);
}

}  // namespace

void add_connect_verb(Command& command) {
  auto options = std::make_shared<Connect>();
  CLI::App* verb = command.verb(
      &command.app, "connect", "Serve a capsule's task to an MCP client on stdin and stdout",
      "taper connect task.capsule --key agent.key --state ./state --print claude",
      [&command, options] { return connect(*options, command.out); });
  verb->add_option("FILE", options->file,
                   "The capsule of a session: its source has no [plan] and no [agent]")
      ->required();
  verb->add_option("--key", options->key, "The holder's key file")->required();
  verb->add_option(
      "--state", options->state,
      "The node's state: its daemon is asked; where none runs, this process is the node");
  verb->add_option("--socket", options->socket, "The daemon's agent.sock, in place of --state");
  verb->add_flag("--complete", options->complete,
                 "The end of the input completes the task; else it lives on");
  CLI::Option* print = verb->add_option(
      "--print", options->print,
      "Print the entry for claude, vscode, cursor, codex, gemini, opencode or inspector");
  CLI::Option* write =
      verb->add_option("--write", options->write, "Put that entry into the client's configuration");
  print->excludes(write);
  verb->add_option("--config", options->config, "With --write: that file, not the client's own")
      ->needs(write);
  verb->add_option("--name", options->name, "The entry's name")->capture_default_str();
  options->passphrase.add_to(verb);
}

}  // namespace taper::tools
