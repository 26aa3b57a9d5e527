/* Faults in system calls, from inside the process. The functions of libc that change files, start
 * processes or map files are interposed by a shared library that stands before libc; armed, it
 * counts those that touch the watched tree and does what the plan says at the Nth.
 *
 * One thread. The plan lies in shared memory, so that whoever made it can read the count after the
 * process is gone. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fault_kind {
  fault_none,      /* only count */
  fault_error,     /* the operation fails with `error` */
  fault_short,     /* a write stores half; other operations succeed */
  fault_kill,      /* SIGKILL before the operation */
  fault_power_cut, /* what was not synced is taken back, then SIGKILL */
};

enum fault_op {
  op_write,
  op_sync,
  op_truncate,
  op_allocate,
  op_create,
  op_rename,
  op_link,
  op_remove,
  op_mkdir,
  op_map,
  op_lock,
  op_spawn,
  op_count
};

enum { kFaultOpsMax = 65536, kFaultPathBytes = 512, kFaultFramesMax = 4096 };

struct fault_plan {
  char tree[kFaultPathBytes]; /* absolute; files below it are watched */
  uint32_t kind;
  int32_t error;
  uint32_t sticky;        /* an error stays: every write, sync and allocation after it fails too */
  uint32_t seed;          /* power cut: 0 keeps nothing unsynced, else which of it survives */
  uint64_t at;            /* the operation, from 1 */
  uint32_t sync_delay_ms; /* every sync takes this much longer; may change while armed */
  uint32_t fail_syncs;    /* every sync fails with EIO; may change while armed */
  uint32_t child_at; /* the process it spawns fails, or dies, at its Nth new process; 0: none */
  uint32_t child_dies;
  uint64_t count; /* operations so far */
  uint8_t ops[kFaultOpsMax];
  uint32_t
      trace; /* from whose calls each sync came: return addresses as the program's file has them */
  uint32_t frame_count;
  uint64_t frames[kFaultFramesMax];
};

/* From now on in this process. `plan` must stay mapped. */
void fault_arm(struct fault_plan* plan);
const char* fault_op_name(unsigned op);

#ifdef __cplusplus
}
#endif
