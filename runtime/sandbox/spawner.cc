#include "runtime/sandbox/spawner.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "runtime/sandbox/spawner_state.h"

namespace taper::sandbox {
namespace {

constexpr int kChannelBits = 3;
// What a cell with a program sees of the host besides its trees; cell_root.cc.
constexpr std::array<const char*, 7> kHostTrees = {
    "/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin", "/etc/alternatives"};

struct Pair {
  Fd ours;
  Fd theirs;
};

Result<Pair> output_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("pipe2", errno);
  Pair pair{Fd(ends[0]), Fd(ends[1])};
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return os_error("O_NONBLOCK", errno);
  return pair;
}

Result<Pair> request_socket() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return os_error("socketpair", errno);
  }
  return Pair{Fd(ends[0]), Fd(ends[1])};
}

Result<Fd> duplicate(const Program& program) {
  Fd fd(::fcntl(program.fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return os_error("dup", errno);
  return fd;
}

Result<Program> load_helper(const std::string& folder, const char* name) {
  const std::string path = folder + name;
  Result<Program> helper = Program::load(path);
  if (helper.ok() || ::access(path.c_str(), F_OK) == 0) return helper;
  return Error(Code::program_missing, {.field = path, .expected = "", .got = "", .fix = ""});
}

CellOrder order_of(std::uint64_t id, const authority::PermitFacts& facts,
                   const std::vector<authority::CallSecret>& secrets) {
  CellOrder order{.cell = id,
                  .kind = facts.kind,
                  .deadline_boot_ms = facts.deadline_boot_ms,
                  .caps = facts.caps,
                  .trees = facts.trees,
                  .argv = facts.argv,
                  .env = facts.env,
                  .secrets = {},
                  .entry = {}};
  for (authority::GrantedTree& tree : order.trees) tree.writable &= facts.writes;
  // A tree is mounted before what lies in it.
  std::ranges::sort(order.trees, {}, &authority::GrantedTree::path);
  for (const authority::CallSecret& secret : secrets)
    order.secrets.push_back({secret.name, static_cast<std::uint32_t>(secret.value.size())});
  return order;
}

bool covers(const authority::GrantedTree& tree, const std::string& path) {
  return path == tree.path || (tree.directory && path.starts_with(tree.path) &&
                               (tree.path == "/" || path[tree.path.size()] == '/'));
}

// Of what argv names, what the cell sees at all: below its trees, and below /usr and its like.
void add_entry(const authority::PermitFacts& facts, const Spawner::Copies& copies, CellOrder& order,
               Spawner::Copies& shown) {
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const std::string& path = facts.entry[i].path;
    authority::GrantedTree file{.path = path};
    bool seen = std::ranges::any_of(kHostTrees, [&](const char* tree) {
      return covers({.path = tree, .directory = true}, path);
    });
    for (const authority::GrantedTree& tree : order.trees) {
      if (!covers(tree, path)) continue;
      seen = true;
      file.program |= tree.program;
    }
    if (!seen) continue;
    order.entry.push_back(std::move(file));
    shown.push_back(copies[i]);
  }
}

// Of a cell with a program: in the order that CellOrder tells.
Result<std::vector<Fd>> fds_of(const Program& program, Fd second, Fd third,
                               const std::vector<authority::CallSecret>& secrets,
                               const Spawner::Copies& entry = {}) {
  std::vector<Fd> fds;
  TAPER_TRY(Fd first, duplicate(program));
  fds.push_back(std::move(first));
  fds.push_back(std::move(second));
  fds.push_back(std::move(third));
  if (!secrets.empty()) {
    TAPER_TRY(Fd values, seal_values(secrets));
    fds.push_back(std::move(values));
  }
  for (const Program* copy : entry) {
    TAPER_TRY(Fd fd, duplicate(*copy));
    fds.push_back(std::move(fd));
  }
  return fds;
}

// A server has a state, which a deadline told from a clock's whole seconds must not cost it.
bool same_deadline(const authority::PermitFacts& a, const authority::PermitFacts& b) {
  const std::int64_t apart = a.deadline_boot_ms - b.deadline_boot_ms;
  return apart == 0 || (a.kind == authority::ToolKind::upstream &&
                        std::abs(apart) <= limits::kUpstreamSameDeadlineMs);
}

// A resident cell serves the calls that would have got the very same cell.
bool same_cell(const authority::PermitFacts& a, const authority::PermitFacts& b) {
  return a.task == b.task && a.grant == b.grant && same_deadline(a, b) && a.kind == b.kind &&
         a.digest == b.digest && a.program == b.program && a.argv == b.argv &&
         a.writes == b.writes && a.trees == b.trees && a.caps.memory_bytes == b.caps.memory_bytes &&
         a.caps.processes == b.caps.processes && a.caps.cpu_s == b.caps.cpu_s;
}

Status check_are(const Program* program, const Spawner::Copies& entry,
                 const authority::PermitFacts& facts) {
  if (program == nullptr || program->hash() != facts.program)
    return Error(Code::program_unfit, {.field = facts.tool,
                                       .expected = facts.program.hex(),
                                       .got = program == nullptr ? "" : program->hash().hex(),
                                       .fix = ""});
  if (!std::ranges::equal(entry, facts.entry, [](const Program* copy, const auto& file) {
        return copy != nullptr && copy->hash() == file.bytes;
      }))
    return Error(Code::program_unfit, {.field = facts.tool,
                                       .expected = "the entry files that were decided on",
                                       .got = "",
                                       .fix = ""});
  return success();
}

bool is_dead(int pidfd) {
  pollfd wait{pidfd, POLLIN, 0};
  return pidfd < 0 || ::poll(&wait, 1, 0) > 0;
}

}  // namespace

Status Spawner::State::open() {
  epoll = Fd(::epoll_create1(EPOLL_CLOEXEC));
  wake = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !wake) return os_error("epoll", errno);
  watch(0, Channel::spawnd, link.socket(), false);
  watch(0, Channel::wake, wake.get(), false);
  return success();
}

void Spawner::State::watch(std::uint64_t cell, Channel channel, int fd, bool writing) {
  epoll_event event{};
  event.events = EPOLLIN | (writing ? static_cast<unsigned>(EPOLLOUT) : 0U);
  event.data.u64 = (cell << kChannelBits) | static_cast<std::uint64_t>(channel);
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, fd, &event) == 0) return;
  TAPER_ASSERT(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

void Spawner::State::add_ready(RunReport report) {
  ready.push_back(std::move(report));
  TAPER_ASSERT(::eventfd_write(wake.get(), 1) == 0);
}

Status Spawner::State::start_command(authority::PermitFacts facts, const Program& program,
                                     const std::vector<authority::CallSecret>& secrets) {
  TAPER_CHECK(make_room(facts.task));
  TAPER_TRY(Pair out, output_pipe());
  TAPER_TRY(Pair err, output_pipe());
  const std::uint64_t id = next_cell++;
  Unsent message{.cell = id, .bytes = encode_order(order_of(id, facts, secrets)), .fds = {}};
  TAPER_TRY(message.fds, fds_of(program, std::move(out.theirs), std::move(err.theirs), secrets));
  watch(id, Channel::out, out.ours.get(), false);
  watch(id, Channel::err, err.ours.get(), false);
  BrokerCell& cell = cells[id];
  cell.task = facts.task;
  cell.output.emplace(std::move(out.ours), std::move(err.ours), facts.caps.output_bytes);
  cell.facts = std::move(facts);
  send(std::move(message));
  return success();
}

Result<Fd> Spawner::State::start_agent(authority::PermitFacts facts, const Program& program,
                                       const Copies& entry) {
  TAPER_CHECK(make_room(facts.task));
  TAPER_TRY(Pair sockets, request_socket());
  TAPER_TRY(const Program speaker, load_helper(helper_folder, kAgentHelper));
  TAPER_TRY(Fd copy, duplicate(speaker));
  const std::uint64_t id = next_cell++;
  CellOrder order = order_of(id, facts, {});
  Copies shown;
  add_entry(facts, entry, order, shown);
  Unsent message{.cell = id, .bytes = encode_order(order), .fds = {}};
  TAPER_TRY(message.fds, fds_of(program, std::move(sockets.theirs), std::move(copy), {}, shown));
  BrokerCell& cell = cells[id];
  cell.task = facts.task;
  cell.facts = std::move(facts);
  send(std::move(message));
  return std::move(sockets.ours);
}

// An idle cell gives way, first a builtin's, which holds nothing that the next one would not; a
// server's is started anew by its next call. One task does not take the room of all.
Status Spawner::State::make_room(const TaskId& task) {
  std::map<TaskId, std::size_t> counts;
  std::size_t all = 0;
  for (const auto& [id, cell] : cells) {
    if (cell.kill_asked) continue;
    ++counts[cell.task];
    ++all;
  }
  const bool own = counts[task] >= limits::kCellsPerTaskMax;
  if (!own && all < limits::kCellsMax) return success();
  const auto rank = [&counts](const BrokerCell& cell) {
    return std::pair(cell.timer ? 1 : 0, -static_cast<std::int64_t>(counts[cell.task]));
  };
  auto idle = cells.end();
  for (auto one = cells.begin(); one != cells.end(); ++one) {
    const BrokerCell& cell = one->second;
    if (!cell.queue || cell.kill_asked || !cell.queue->idle()) continue;
    if (own && cell.task != task) continue;
    if (idle == cells.end() || rank(cell) < rank(idle->second)) idle = one;
  }
  if (idle == cells.end())
    return Error(Code::sandbox_setup,
                 {.field = "cells",
                  .expected = "at most " +
                              std::to_string(own ? limits::kCellsPerTaskMax : limits::kCellsMax) +
                              (own ? " of one task" : ""),
                  .got = "",
                  .fix = ""});
  idle->second.kill_asked = true;
  kill({idle->first});
  return success();
}

Status Spawner::State::start_resident(authority::PermitFacts facts, const Program* program,
                                      const std::vector<authority::CallSecret>& secrets,
                                      const Copies& entry) {
  TAPER_CHECK(make_room(facts.task));
  TAPER_TRY(Pair sockets, request_socket());
  const std::uint64_t id = next_cell++;
  CellOrder order = order_of(id, facts, secrets);
  Copies shown;
  add_entry(facts, entry, order, shown);
  Unsent message{.cell = id, .bytes = encode_order(order), .fds = {}};
  Fd timer;
  if (program == nullptr) {
    message.fds.push_back(std::move(sockets.theirs));
  } else {
    if (!helper) {
      TAPER_TRY(helper, load_helper(helper_folder, kUpstreamHelper));
    }
    timer = Fd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer) return os_error("timerfd_create", errno);
    TAPER_TRY(Fd speaker, duplicate(*helper));
    TAPER_TRY(message.fds,
              fds_of(*program, std::move(sockets.theirs), std::move(speaker), secrets, shown));
    watch(id, Channel::timer, timer.get(), false);
  }
  BrokerCell& cell = cells[id];
  cell.timer = std::move(timer);
  cell.task = facts.task;
  cell.facts = facts;
  cell.facts->inputs.clear();
  cell.queue.emplace(std::move(sockets.ours));
  cell.queue->push(std::move(facts));
  send(std::move(message));
  move_queue(id, cell);
  return success();
}

Status Spawner::State::run_resident(authority::PermitFacts facts, const Program* program,
                                    const std::vector<authority::CallSecret>& secrets,
                                    const Copies& entry) {
  for (auto& [id, cell] : cells) {
    if (!cell.queue || cell.kill_asked || cell.overdue ||
        cell.progress != BuiltinQueue::Progress::open || !same_cell(*cell.facts, facts)) {
      continue;
    }
    cell.queue->push(std::move(facts));
    move_queue(id, cell);
    return success();
  }
  // What this grant's calls were given before has changed, so its idle cells serve no more.
  std::vector<std::uint64_t> stale;
  for (auto& [id, cell] : cells) {
    if (cell.queue && cell.queue->idle() && cell.task == facts.task &&
        cell.facts->grant == facts.grant) {
      cell.kill_asked = true;
      stale.push_back(id);
    }
  }
  kill(stale);
  return start_resident(std::move(facts), program, secrets, entry);
}

// What runs in the cell is told how long a call may take, and not believed to keep to it.
void Spawner::State::time_call(BrokerCell& cell) {
  if (!cell.timer || cell.queue->current(cell.timed)) return;
  const std::optional<std::int64_t> ms = cell.queue->time_ms();
  itimerspec when{};  // disarmed
  if (ms) when.it_value = {*ms / 1000, *ms % 1000 * 1'000'000 + 1};
  TAPER_ASSERT(::timerfd_settime(cell.timer.get(), 0, &when, nullptr) == 0);
  cell.timed = ms ? cell.queue->first() : CallId();
}

void Spawner::State::move_queue(std::uint64_t id, BrokerCell& cell) {
  if (cell.progress != BuiltinQueue::Progress::open) return;
  const std::size_t before = ready.size();
  cell.progress = cell.queue->move(ready);
  if (auto told = cell.queue->take_told()) progress.push_back(std::move(*told));
  if (ready.size() != before) TAPER_ASSERT(::eventfd_write(wake.get(), 1) == 0);
  if (cell.progress == BuiltinQueue::Progress::open) {
    time_call(cell);
    return watch(id, Channel::socket, cell.queue->fd(), cell.queue->wants_write());
  }
  ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, cell.queue->fd(), nullptr);
  if (cell.queue->over() || cell.progress == BuiltinQueue::Progress::broken) kill({id});
}

void Spawner::State::send(Unsent message) {
  unsent.push_back(std::move(message));
  flush();
}

void Spawner::State::flush() {
  while (!unsent.empty() && health == Health::alive) {
    std::vector<int> fds;
    for (const Fd& fd : unsent.front().fds) fds.push_back(fd.get());
    const Sent sent = send_packet(link.socket(), unsent.front().bytes, fds);
    if (sent == Sent::broken) return;  // the read side learns the same and says it once
    if (sent == Sent::full) break;
    unsent.pop_front();
  }
  if (health == Health::alive) watch(0, Channel::spawnd, link.socket(), !unsent.empty());
}

void Spawner::State::kill(const std::vector<std::uint64_t>& ids) {
  KillOrder order;
  for (const std::uint64_t id : ids) {
    const auto queued = std::ranges::find(unsent, id, &Unsent::cell);
    if (queued != unsent.end()) {
      unsent.erase(queued);
      on_gone({.cell = id,
               .end = CellEnd::killed,
               .value = 0,
               .code = Code::ok,
               .field = "",
               .got = "",
               .cpu_ms = 0});
      continue;
    }
    const auto cell = cells.find(id);
    if (cell == cells.end()) continue;
    const Fd& pidfd = cell->second.pidfd;
    if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    order.cells.push_back(id);
  }
  if (order.cells.empty() || health != Health::alive) return;
  unsent.push_front({.cell = 0, .bytes = encode_order(order), .fds = {}});
  flush();
}

void Spawner::State::on_news(News news, std::vector<Fd> fds) {
  if (auto* gone = std::get_if<CellGone>(&news)) return on_gone(std::move(*gone));
  const auto found = cells.find(std::get<CellStarted>(news).cell);
  if (found != cells.end() && fds.size() == 1) found->second.pidfd = std::move(fds[0]);
}

void Spawner::State::on_gone(CellGone gone) {
  auto taken = cells.extract(gone.cell);
  if (taken.empty()) return;
  BrokerCell& cell = taken.mapped();
  if (!cell.queue) {
    // Nobody holds the other ends any more, so one read takes all.
    if (cell.output && !cell.over_cap)
      cell.over_cap = cell.output->read() == CommandOutput::Progress::over_cap;
    RunReport report = cell.kill_asked ? report_killed(*cell.facts) : report_of(*cell.facts, gone);
    if (cell.over_cap && !cell.kill_asked) {
      report.end = RunEnd::output_cap;
      report.error = Error(Code::output_cap);
    }
    if (gone.end != CellEnd::lost) report.cpu_ms = gone.cpu_ms;
    if (cell.output) cell.output->give(report);
    add_ready(std::move(report));
    return;
  }
  if (cell.progress == BuiltinQueue::Progress::open) cell.progress = cell.queue->move(ready);
  on_resident_gone(cell, std::move(gone));
}

void Spawner::State::on_resident_gone(BrokerCell& cell, CellGone gone) {
  using Progress = BuiltinQueue::Progress;
  const bool upstream = cell.facts->kind == authority::ToolKind::upstream;
  if (cell.progress == Progress::broken) gone.end = CellEnd::lost;
  std::deque<authority::PermitFacts> calls = cell.queue->take_calls();
  for (authority::PermitFacts& facts : calls) {
    const bool first = &facts == &calls.front();
    if (cell.kill_asked && (first || cell.kill_all)) {
      add_ready(report_killed(facts));
    } else if (cell.kill_asked && !upstream && run_resident(facts, nullptr, {}, {}).ok()) {
      continue;
    } else if (upstream && (!first || cell.queue->over())) {
      add_ready(report_broken(facts, "ended", "before the call was begun"));
    } else if (upstream && cell.overdue) {
      add_ready(report_broken(facts, "timeout", "no answer in time"));
    } else if (upstream && cell.progress == Progress::broken) {
      add_ready(report_broken(facts, "message", "not a reply"));
    } else {
      add_ready(report_of(facts, gone));
    }
  }
}

void Spawner::State::lose() {
  health = Health::lost;
  unsent.clear();
  for (auto& [id, cell] : cells) {
    CellGone gone;
    gone.end = CellEnd::lost;
    if (!cell.queue) {
      RunReport report = report_of(*cell.facts, gone);
      if (cell.output) cell.output->give(report);
      add_ready(std::move(report));
    } else {
      for (const authority::PermitFacts& facts : cell.queue->take_calls()) {
        add_ready(report_of(facts, gone));
      }
    }
    cell.output.reset();
    cell.queue.reset();
  }
}

void Spawner::State::hear() {
  while (health == Health::alive) {
    Result<std::optional<Packet>> packet = receive_packet(link.socket());
    if (packet.ok() && !packet->has_value()) return;
    Result<News> news;
    if (packet.ok()) news = decode_news((*packet)->bytes);
    if (!news.ok()) return lose();
    on_news(std::move(*news), std::move((*packet)->fds));
  }
}

void Spawner::State::handle(std::uint64_t id, Channel channel) {
  if (channel == Channel::spawnd) {
    hear();
    return flush();
  }
  const auto found = cells.find(id);
  if (found == cells.end()) return;
  BrokerCell& cell = found->second;
  if (channel == Channel::socket && cell.queue) return move_queue(id, cell);
  eventfd_t expired = 0;
  if (channel == Channel::timer && ::eventfd_read(cell.timer.get(), &expired) == 0) {
    cell.overdue = true;
    kill({id});
  }
  if (!cell.output || cell.over_cap) return;
  if (cell.output->read() == CommandOutput::Progress::open) return;
  cell.over_cap = true;
  kill({id});
}

Result<std::unique_ptr<Spawner>> Spawner::launch(const std::string& spawnd_path) {
  TAPER_TRY(SpawndLink link, SpawndLink::launch(spawnd_path));
  auto state =
      std::make_unique<State>(std::move(link), spawnd_path.substr(0, spawnd_path.rfind('/') + 1));
  TAPER_CHECK(state->open());
  return std::unique_ptr<Spawner>(new Spawner(std::move(state)));
}

Spawner::Spawner(std::unique_ptr<State> state) : state_(std::move(state)) {}
Spawner::~Spawner() = default;
int Spawner::wait_fd() const { return state_->epoll.get(); }
pid_t Spawner::pid() const { return state_->link.pid(); }

Status Spawner::run(authority::Permit&& permit, const Program* program, const Copies& entry) {
  const std::vector<authority::CallSecret> secrets = permit.take_secrets();  // wiped on return
  authority::PermitFacts facts = std::move(permit).consume();
  State& state = *state_;
  TAPER_ASSERT(facts.kind != authority::ToolKind::agent);
  if (state.health != State::Health::alive) return Error(Code::spawner_lost);
  // A resident cell outlives the call that a secret is for.
  if (facts.kind == authority::ToolKind::builtin && !secrets.empty()) {
    return Error(Code::secret_unsealed,
                 {.field = facts.tool, .expected = "a command", .got = "a builtin", .fix = ""});
  }
  if (facts.kind == authority::ToolKind::builtin)
    return state.run_resident(std::move(facts), nullptr, secrets, {});
  TAPER_CHECK(check_are(program, entry, facts));
  if (facts.kind == authority::ToolKind::upstream)
    return state.run_resident(std::move(facts), program, secrets, entry);
  return state.start_command(std::move(facts), *program, secrets);
}

Result<Fd> Spawner::run_agent(authority::Permit&& permit, const Program* program,
                              const Copies& entry) {
  authority::PermitFacts facts = std::move(permit).consume();
  TAPER_ASSERT(facts.kind == authority::ToolKind::agent);
  if (state_->health != State::Health::alive) return Error(Code::spawner_lost);
  TAPER_CHECK(check_are(program, entry, facts));
  return state_->start_agent(std::move(facts), *program, entry);
}

Result<std::vector<RunReport>> Spawner::poll() {
  State& state = *state_;
  std::array<epoll_event, limits::kCellEventsAtOnce> events;
  const int count = ::epoll_wait(state.epoll.get(), events.data(), limits::kCellEventsAtOnce, 0);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    state.handle(tag >> kChannelBits,
                 static_cast<State::Channel>(tag & ((1U << kChannelBits) - 1)));
  }
  eventfd_t drained = 0;
  (void)::eventfd_read(state.wake.get(), &drained);
  if (!state.ready.empty() || state.health != State::Health::lost) {
    return std::exchange(state.ready, {});
  }
  state.health = State::Health::told;
  ::epoll_ctl(state.epoll.get(), EPOLL_CTL_DEL, state.link.socket(), nullptr);
  return Error(Code::spawner_lost);
}

std::vector<ProgressReport> Spawner::take_progress() { return std::exchange(state_->progress, {}); }

Status Spawner::beat() {
  if (state_->health != State::Health::alive) return Error(Code::spawner_lost);
  // A full or broken socket: what waits there counts as a sign of life, or poll learns the loss.
  Bytes bytes = encode_order(Beat{});
  (void)send_packet(state_->link.socket(), bytes, {});
  return success();
}

Status Spawner::kill_task(const TaskId& task) {
  std::vector<std::uint64_t> ids;
  for (auto& [id, cell] : state_->cells) {
    if (cell.task != task) continue;
    cell.kill_asked = cell.kill_all = true;
    ids.push_back(id);
  }
  state_->kill(ids);
  return success();
}

Status Spawner::kill_call(const CallId& call) {
  for (auto& [id, cell] : state_->cells) {
    const bool whole = !cell.queue && cell.facts->call == call;
    if (whole || (cell.queue && cell.queue->current(call))) {
      cell.kill_asked = true;
      state_->kill({id});
      return success();
    }
    if (!cell.queue) continue;
    if (const auto facts = cell.queue->drop_waiting(call)) {
      state_->add_ready(report_killed(*facts));
      return success();
    }
  }
  return success();
}

std::size_t Spawner::cells_alive(const TaskId& task) const {
  const bool lost = state_->health != State::Health::alive;
  return static_cast<std::size_t>(std::ranges::count_if(state_->cells, [&](const auto& entry) {
    return entry.second.task == task && !(lost && is_dead(entry.second.pidfd.get()));
  }));
}

bool Spawner::has_cells() const { return !state_->cells.empty(); }

}  // namespace taper::sandbox
