// Ways into other namespaces and mounts, and to processes outside by any means of talking.
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/hostile/escapes/escape.h"

namespace escape {
namespace {

constexpr unsigned long kTiocsti = 0x5412;
constexpr unsigned long kTioclinux = 0x541c;
constexpr unsigned long kHighBit = 1UL << 32;
constexpr int kMultipath = 262;

Verdict new_socket(int family, int type, int protocol) {
  return opened(::socket(family, type, protocol));
}

Verdict cloned(pid_t child) {
  if (child == 0) ::_exit(0);
  if (child > 0) ::waitpid(child, nullptr, 0);
  return opened(child);
}

Verdict connected(sockaddr_un address, socklen_t size) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (socket < 0) return shut(errno_name(errno));
  return reached(::connect(socket, reinterpret_cast<const sockaddr*>(&address), size));
}

}  // namespace

Verdict unshare_user(const Place&) { return opened(::unshare(CLONE_NEWUSER)); }
Verdict unshare_mounts(const Place&) { return opened(::unshare(CLONE_NEWNS)); }
Verdict unshare_network(const Place&) { return opened(::unshare(CLONE_NEWNET)); }

Verdict clone_user(const Place&) {
  return cloned(static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)));
}

Verdict clone3_user(const Place&) {
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER;
  arguments.exit_signal = SIGCHLD;
  return cloned(static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments)));
}

Verdict enter_namespace(const Place&) {
  const int fd = ::open("/proc/self/ns/net", O_RDONLY);
  return opened(::setns(fd, 0));
}

Verdict mount_anything(const Place&) {
  return reached(::syscall(SYS_mount, "none", "/nowhere", "tmpfs", 0, nullptr));
}
Verdict unmount(const Place&) { return reached(::syscall(SYS_umount2, "/nowhere", 0x1000)); }
Verdict pivot(const Place&) { return reached(::syscall(SYS_pivot_root, "/nowhere", "/nowhere")); }
Verdict change_root(const Place& place) { return opened(::chroot(place.read.c_str())); }
Verdict open_tree_clone(const Place& place) {
  return opened(::syscall(SYS_open_tree, AT_FDCWD, place.read.c_str(), OPEN_TREE_CLONE));
}
Verdict open_filesystem(const Place&) { return opened(::syscall(SYS_fsopen, "tmpfs", 0)); }
Verdict move_a_mount(const Place&) {
  return reached(::syscall(SYS_move_mount, -1, "/nowhere", -1, "/nowhere", ~0U));
}
Verdict change_mount_attributes(const Place& place) {
  mount_attr attributes{};
  attributes.attr_clr = MOUNT_ATTR_RDONLY;
  return reached(::syscall(SYS_mount_setattr, AT_FDCWD, place.read.c_str(), 0, &attributes,
                           sizeof attributes));
}
Verdict raise_namespace_limit(const Place&) {
  return opened(::open("/proc/sys/user/max_user_namespaces", O_WRONLY));
}
Verdict write_uid_map(const Place&) { return opened(::open("/proc/self/uid_map", O_WRONLY)); }

Verdict abstract_socket(const Place&) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, "\0taper-nobody", 13);
  return connected(address, sizeof(sa_family_t) + 13);
}
Verdict path_socket(const Place& place) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = place.secret + "/socket";
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return connected(address, sizeof address);
}

Verdict shared_memory_segment(const Place&) {
  const int id = ::shmget(IPC_PRIVATE, 4096, 0600);
  if (id >= 0) ::shmctl(id, IPC_RMID, nullptr);
  return opened(id);
}
Verdict message_queue(const Place&) {
  const int id = ::msgget(IPC_PRIVATE, 0600);
  if (id >= 0) ::msgctl(id, IPC_RMID, nullptr);
  return opened(id);
}
Verdict semaphores(const Place&) {
  const int id = ::semget(IPC_PRIVATE, 1, 0600);
  if (id >= 0) ::semctl(id, 0, IPC_RMID);
  return opened(id);
}
Verdict posix_queue(const Place& place) {
  const std::string name = "/taper-" + std::to_string(place.host_pid);
  const mqd_t queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT, 0600, nullptr);
  if (queue >= 0) ::mq_unlink(name.c_str());
  return opened(queue);
}

Verdict session_keyring(const Place&) { return reached(::syscall(SYS_keyctl, 0, -3, 0, 0, 0)); }
Verdict add_a_key(const Place&) {
  return reached(::syscall(SYS_add_key, "user", "taper", "x", 1, -2));
}
Verdict request_a_key(const Place&) {
  return reached(::syscall(SYS_request_key, "user", "taper-nothing", nullptr, 0));
}

Verdict terminal_injection(const Place&) {
  const char byte = 'x';
  return reached(::syscall(SYS_ioctl, 0, kTiocsti, &byte));
}
Verdict terminal_injection_high_bit(const Place&) {
  const char byte = 'x';
  return reached(::syscall(SYS_ioctl, 0, kTiocsti | kHighBit, &byte));
}
Verdict console_selection(const Place&) {
  const char byte = 2;
  return reached(::syscall(SYS_ioctl, 0, kTioclinux, &byte));
}

Verdict tcp(const Place&) { return new_socket(AF_INET, SOCK_STREAM, 0); }
Verdict multipath_tcp(const Place&) { return reached(::socket(AF_INET, SOCK_STREAM, kMultipath)); }
Verdict udp(const Place&) { return new_socket(AF_INET, SOCK_DGRAM, 0); }
Verdict udp_ipv6(const Place&) { return reached(::socket(AF_INET6, SOCK_DGRAM, 0)); }
Verdict icmp(const Place&) { return new_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }
Verdict raw_ip(const Place&) { return new_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
Verdict raw_packets(const Place&) { return reached(::socket(AF_PACKET, SOCK_RAW, 0)); }
Verdict netlink_routes(const Place&) { return new_socket(AF_NETLINK, SOCK_RAW, 0); }
Verdict netlink_events(const Place&) { return new_socket(AF_NETLINK, SOCK_RAW, 15); }
Verdict virtual_machine_socket(const Place&) { return new_socket(AF_VSOCK, SOCK_STREAM, 0); }
Verdict crypto_socket(const Place&) { return new_socket(AF_ALG, SOCK_SEQPACKET, 0); }
Verdict express_data_path(const Place&) { return new_socket(AF_XDP, SOCK_RAW, 0); }
Verdict inet_socket_pair(const Place&) {
  int pair[2];
  return reached(::socketpair(AF_INET, SOCK_STREAM, 0, pair));
}
Verdict network_interfaces(const Place&) { return opened(::open("/proc/net/dev", O_RDONLY)); }

}  // namespace escape
