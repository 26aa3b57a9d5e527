// usage: hostile_forker MARKER COUNT
// What it does to you: COUNT daemons, each in a session of its own, that ignore TERM, HUP and INT
// and outlive their parent; every other one of them, and two more that never rest, replace
// themselves by a child all the time, so that their pids cannot be caught. Then it waits.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

namespace {

[[noreturn]] void refork(useconds_t pause_us) {
  for (;;) {
    if (pause_us != 0) usleep(pause_us);
    const pid_t child = fork();
    if (child > 0) _exit(0);
    if (child < 0) usleep(1000);
  }
}

[[noreturn]] void haunt(int number) {
  setsid();
  if (fork() > 0) _exit(0);
  if (number < 0) refork(0);
  if (number % 2 == 0) refork(20'000);
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  for (int number = -2; number < std::atoi(argv[2]); ++number) {
    if (fork() == 0) haunt(number);
  }
  for (;;) pause();
}
