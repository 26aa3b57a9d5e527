/* One capsule on one node: activation, two chains of its root, charges, effects, the end, crashes,
   power cuts, a database that is put back, a renewed node. What stands on the disk changes by whole
   transactions; what stands in memory is lost by a crash; the marker is written after each commit
   and may be lost by a power cut unless it was synced.

   MUTANT switches one rule off (run.py names them); each must then break an assertion. */

#define CHAINS 2
#ifndef BUDGET
#define BUDGET 2
#endif
#ifndef ACTIVATIONS
#define ACTIVATIONS 1
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef RESTORES
#define RESTORES 1
#endif

#define NONE 0
#define ACTIVE 1
#define ENDING 2
#define TERMINAL 3

#define ON(rule) (MUTANT != rule)
#ifndef MUTANT
#define MUTANT 0
#endif
#define MARKER_CHECKED 1
#define CHARGE_BEFORE_EFFECT 2
#define ONE_BUDGET 3
#define UNKNOWN_STAYS_CHARGED 4
#define SPENT_IS_DURABLE 5
#define END_IS_FINAL 6
#define MEMORY_STOPS_FIRST 7
#define ENDING_COMPLETED 8
#define BOUND_TO_INCARNATION 9
#define INTENT_BEFORE_EFFECT 10
#define MARKER_SYNCED_AT_START 11
#define BUDGET_NEVER_REFILLS 12

typedef Disk {
  byte number;        /* of the last commit */
  byte spent;         /* activations */
  byte left;          /* calls; of the root, whatever chain asks */
  byte task;
  bool open[CHAINS];  /* calls authorised, without an outcome */
  bool incarnation;   /* of this store; the capsule is bound to the first */
};

Disk disk, backup;
bool kept;            /* there is a backup */
byte marker, synced;  /* in the page cache; on the medium */
byte backup_marker;

/* In memory. */
bool up, refused;
byte task, left;
bool attached[CHAINS], permit[CHAINS], running[CHAINS];

/* What really happened, whatever any disk says. */
byte effects, activations, latest;
byte promised;        /* last commit at a start or a task's end: older databases are refused */
byte crashes, restores;
bool ended;           /* an end was durable */
bool beyond;          /* put back so that only a memory outside the node can tell */

inline commit() {
  disk.number++;
  marker = disk.number;
  latest = disk.number;
}

inline take_up() {    /* memory from the disk */
  task = disk.task;
  left = disk.left;
}

inline lose_memory() {
  up = false; task = NONE; left = 0;
  attached[0] = false; attached[1] = false;
  permit[0] = false; permit[1] = false;
  running[0] = false; running[1] = false;
}

inline bound(answer) {
  answer = (!disk.incarnation || !ON(BOUND_TO_INCARNATION));
}

proctype Chain(byte c) {
  bool ours;
  do
  :: atomic {
       up && !attached[c] && (task == ACTIVE || disk.spent < ACTIVATIONS || !ON(END_IS_FINAL)) ->
       bound(ours);
       if
       :: !ours -> goto away
       :: ours && task == ACTIVE -> attached[c] = true   /* joins, or goes on after a restart */
       :: ours && task != ACTIVE && disk.spent < ACTIVATIONS ->
          if
          :: disk.spent == 0 || !ON(BUDGET_NEVER_REFILLS) -> disk.left = BUDGET
          :: else
          fi;
          if
          :: ON(SPENT_IS_DURABLE) -> disk.spent++
          :: else
          fi;
          disk.task = ACTIVE;
          ended = false;
          commit();
          take_up();
          activations++;
          attached[c] = true;
          assert(activations <= ACTIVATIONS || beyond)
       :: ours && task == TERMINAL && !ON(END_IS_FINAL) ->
          disk.task = ACTIVE; commit(); take_up(); attached[c] = true
       :: else -> goto away
       fi
     }
  :: atomic {  /* one transaction: charge and intent; then the permit */
       up && attached[c] && task == ACTIVE && !permit[c] && !running[c] && left > 0 ->
       if
       :: ON(CHARGE_BEFORE_EFFECT) -> left--; disk.left = left
       :: else
       fi;
       if
       :: ON(INTENT_BEFORE_EFFECT) -> disk.open[c] = true; commit()
       :: else
       fi;
       permit[c] = true;
       if
       :: !ON(ONE_BUDGET) -> left = left + 1              /* the other chain has its own */
       :: else
       fi
     }
  :: atomic {  /* the effect */
       up && permit[c] ->
       assert(disk.open[c]);                             /* I4 */
       assert(!ended || beyond);                         /* I1 */
       permit[c] = false;
       running[c] = true;
       effects++;
       assert(effects <= BUDGET || beyond)               /* I2 */
     }
  :: atomic {  /* its outcome, in one transaction */
       up && running[c] ->
       running[c] = false;
       if
       :: !ON(CHARGE_BEFORE_EFFECT) && left > 0 -> left--; disk.left = left
       :: else
       fi;
       if
       :: task == ACTIVE -> disk.open[c] = false; commit()
       :: else                                           /* killed: the end settles it */
       fi
     }
  od;
away:
  skip
}

/* An operator, the lease, a tripwire: memory stops, cells die, then the disk says so. */
proctype End() {
  do
  :: atomic {
       up && task == ACTIVE ->
       if
       :: ON(MEMORY_STOPS_FIRST) ->
          task = ENDING;
          permit[0] = false; permit[1] = false;
          running[0] = false; running[1] = false
       :: else -> task = ENDING
       fi
     }
  :: atomic {
       up && task == ENDING && disk.task == ACTIVE ->
       disk.task = ENDING; commit(); ended = true
     }
  :: atomic {
       up && task == ENDING && disk.task == ENDING ->
       disk.task = TERMINAL; disk.open[0] = false; disk.open[1] = false;
       commit(); synced = marker; promised = marker; take_up()
     }
  od
}

/* Power, processes, and whoever holds the disk. */
proctype World() {
  do
  :: atomic { up && crashes < CRASHES -> crashes++; lose_memory() }  /* kill -9 */
  :: atomic {                                                        /* power cut */
       up && crashes < CRASHES -> crashes++; lose_memory(); marker = synced
     }
  :: atomic { !kept && disk.number > 0 -> kept = true;
       backup.number = disk.number; backup.spent = disk.spent; backup.left = disk.left;
       backup.task = disk.task; backup.open[0] = disk.open[0]; backup.open[1] = disk.open[1];
       backup.incarnation = disk.incarnation; backup_marker = marker
     }
  :: atomic {
       !up && !refused && kept && restores < RESTORES && backup.number < latest ->
       restores++;
       disk.number = backup.number; disk.spent = backup.spent; disk.left = backup.left;
       disk.task = backup.task; disk.open[0] = backup.open[0]; disk.open[1] = backup.open[1];
       disk.incarnation = backup.incarnation;
       if
       :: marker > disk.number -> skip                   /* the database alone */
       :: marker <= disk.number ->                       /* a cut took the marker's last steps along */
          assert(disk.number >= promised || beyond);
          beyond = true
       :: marker = backup_marker; synced = backup_marker; beyond = true  /* the whole directory */
       fi
     }
  :: atomic {                                            /* start */
       !up && !refused ->
       if
       :: disk.number < marker && ON(MARKER_CHECKED) -> refused = true
       :: else ->
          assert(disk.number == latest || beyond);       /* nothing older is taken up */
          if
          :: disk.task == ENDING && ON(ENDING_COMPLETED) -> disk.task = TERMINAL
          :: disk.task == ENDING && !ON(ENDING_COMPLETED) -> disk.task = ACTIVE
          :: else
          fi;
          if
          :: !ON(UNKNOWN_STAYS_CHARGED) && disk.open[0] -> disk.left++
          :: else
          fi;
          disk.open[0] = false; disk.open[1] = false;    /* interrupted, and charged */
          commit();
          if
          :: ON(MARKER_SYNCED_AT_START) -> synced = marker
          :: else
          fi;
          promised = disk.number;
          take_up();
          up = true
       fi
     }
  :: atomic {                                            /* the node is renewed */
       refused ->
       refused = false;
       disk.incarnation = true; disk.spent = 0; disk.left = 0; disk.task = NONE;
       disk.open[0] = false; disk.open[1] = false;
       disk.number++; latest = disk.number; marker = disk.number; synced = marker;
       promised = disk.number
     }
  od
}

init {
  atomic { run Chain(0); run Chain(1); run End(); run World() }
}
