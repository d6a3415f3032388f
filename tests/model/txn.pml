/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gates, commits and snapshots (src/map/gate.h, txn.c): a transaction that moves one from map 0 to
 * map 1; another one, or a snapshot of both maps; and a plain writer of map 0, a transactional reader, or one more
 * snapshot. One of them dies, at any step; whoever comes to a gate that a dead one keeps shut finishes what was
 * committed; a last one looks at the end of all. The robust claims and locks are lock.pml's, here one step; a
 * stripe's repair after a death is taken for granted.
 *
 * Claims: the sum is the same in every snapshot, in what a transaction reads, and in the end; each commit has
 * happened once or not at all; no snapshot has half a value; nobody waits for ever.
 *
 * Errors to be found:
 *   -DNO_DRAIN       who has shut the gates does not pass through the writers' lock
 *   -DEARLY_LOOK     a writer looks at the gate before it has the lock
 *   -DNO_ORDER       gates are shut in any order
 *   -DNO_COMPARE     a commit does not look whether what was read is still so
 *   -DLATE_COMMIT    the word by which it has happened is stored after the first change
 *   -DNO_REDO        who takes over from the dead opens the gates, and no more
 *   -DNO_ODD         readers are not told that a commit is being applied
 *   -DWAIT_CLAIM     who finds a gate's owner dead waits for the claim, whoever has it by then
 */
#define MAPS 2
#define SLOTS 2
#ifndef DEATHS
#define DEATHS 1
#endif
#define FREE 0
#define DIED 9
#define START 2

#define TAKING 1
#define COMMITTED 2

byte claim[SLOTS], state[SLOTS];
byte redo[4]; /* [slot * MAPS + map] */
byte gate[MAPS]; /* slot + 1 */
byte commits[MAPS];
byte value[MAPS];
byte lock;	 /* of map 0's writers */
byte word[2];	 /* a value of two words in map 0, written under it */
byte done;	 /* commits that have happened */
byte deaths;
byte ended;

#define MAY_DIE                                                                                    \
	:: atomic {                                                                                \
		deaths < DEATHS ->                                                                 \
		deaths++;                                                                          \
		claim[0] = (claim[0] == me -> DIED : claim[0]);                                    \
		claim[1] = (claim[1] == me -> DIED : claim[1]);                                    \
		lock = (lock == me -> DIED : lock);                                                \
		goto gone                                                                          \
	   }

/* slot_settle(): slot s, of a dead one, is the caller's. */
#define HELD(m, s) (gate[m] == s + 1)

inline settle(s)
{
	if
	:: state[s] == COMMITTED ->
#ifndef NO_REDO
		if
		:: commits[0] = (HELD(0, s) -> commits[0] | 1 : commits[0])
		MAY_DIE
		fi;
		if
		:: commits[1] = (HELD(1, s) -> commits[1] | 1 : commits[1])
		MAY_DIE
		fi;
		if
		:: value[0] = (HELD(0, s) -> redo[s * MAPS] : value[0])
		MAY_DIE
		fi;
		if
		:: value[1] = (HELD(1, s) -> redo[s * MAPS + 1] : value[1])
		MAY_DIE
		fi;
		if
		:: commits[0] = (HELD(0, s) -> commits[0] + 1 : commits[0])
		MAY_DIE
		fi;
		if
		:: commits[1] = (HELD(1, s) -> commits[1] + 1 : commits[1])
		MAY_DIE
		fi;
#endif
		if
		:: state[s] = TAKING
		MAY_DIE
		fi
	:: else
	fi;
	open(s)
}

/* gate_open(): in the end the slot is nobody's. */
inline open(s)
{
	if
	:: gate[0] = (HELD(0, s) -> 0 : gate[0])
	MAY_DIE
	fi;
	if
	:: gate[1] = (HELD(1, s) -> 0 : gate[1])
	MAY_DIE
	fi;
	if
	:: state[s] = FREE
	MAY_DIE
	fi
}

/* map_gate_wait(), until the gate is open: finishes what a dead one left. */
inline wait_gate(g)
{
	do
	:: atomic { gate[g] == 0 -> break }
#ifdef WAIT_CLAIM
	:: atomic { gate[g] != 0 && claim[gate[g] - 1] == DIED -> d = gate[g] - 1 };
	   atomic { claim[d] == DIED || claim[d] == FREE -> claim[d] = me };
#else
	:: atomic {
		gate[g] != 0 && claim[gate[g] - 1] == DIED ->
		d = gate[g] - 1;
		claim[d] = me
	   };
#endif
	   settle(d);
	   claim[d] = FREE
	MAY_DIE
	od
}

/* gate_begin() */
inline take_slot()
{
	if
	:: atomic { claim[0] == FREE || claim[0] == DIED -> claim[0] = me; mine = 0 }
	:: atomic {
		claim[0] != FREE && claim[0] != DIED && (claim[1] == FREE || claim[1] == DIED) ->
		claim[1] = me;
		mine = 1
	   }
	MAY_DIE
	fi;
	settle(mine)
}

/* gate_shut(): both, the lower one first; and the writers that were under way are done. */
inline shut(g)
{
	do
	:: atomic { gate[g] == 0 -> gate[g] = mine + 1; break }
	:: gate[g] != 0 -> wait_gate(g)
	MAY_DIE
	od
}

inline shut_gates(first)
{
	state[mine] = TAKING;
	shut(first);
	shut(1 - first);
#ifndef NO_DRAIN
	if
	:: atomic { lock == FREE }
	:: atomic { lock == DIED -> word[1] = word[0]; lock = FREE }
	MAY_DIE
	fi
#endif
}

inline drop_slot()
{
	open(mine);
	claim[mine] = FREE
}

proctype txn(byte me)
{
	byte mine, d, was[MAPS];

	was[0] = value[0];
	was[1] = value[1]; /* (the reader is who asks whether they go together) */
	take_slot();
	atomic {
		redo[mine * MAPS] = was[0] - 1;
		redo[mine * MAPS + 1] = was[1] + 1
	}
#ifdef NO_ORDER
	shut_gates(me & 1);
#else
	shut_gates(0);
#endif
#ifndef NO_COMPARE
	if
	:: value[0] != was[0] || value[1] != was[1] -> drop_slot(); goto gone
	:: else
	fi;
#endif
#ifdef LATE_COMMIT
	value[0] = redo[mine * MAPS];
#endif
	if
	:: atomic { state[mine] = COMMITTED; done++ }
	MAY_DIE
	fi;
#ifndef NO_ODD
	if
	:: commits[0]++
	MAY_DIE
	fi;
	if
	:: commits[1]++
	MAY_DIE
	fi;
#endif
	if
	:: value[0] = redo[mine * MAPS]
	MAY_DIE
	fi;
	if
	:: value[1] = redo[mine * MAPS + 1]
	MAY_DIE
	fi;
#ifdef NO_ODD
	if
	:: atomic { commits[0] = commits[0] + 2; commits[1] = commits[1] + 2 }
	MAY_DIE
	fi;
#else
	if
	:: commits[0]++
	MAY_DIE
	fi;
	if
	:: commits[1]++
	MAY_DIE
	fi;
#endif
	if
	:: state[mine] = TAKING
	MAY_DIE
	fi;
	drop_slot();
gone:
	ended++
}

proctype snapshot(byte me)
{
	byte mine, d, sum, half;

	take_slot();
	shut_gates(0);
	sum = value[0];
	half = word[0];
	sum = sum + value[1];
	assert(sum == 2 * START && half == word[1]);
	drop_slot();
gone:
	ended++
}

proctype writer(byte me)
{
	byte d;

again:
#ifdef EARLY_LOOK
	if
	:: gate[0] == 0
	:: gate[0] != 0 -> wait_gate(0)
	MAY_DIE
	fi;
#endif
	if
	:: atomic { lock == FREE -> lock = me }
	:: atomic { lock == DIED -> word[1] = word[0]; lock = me }
	MAY_DIE
	fi;
#ifndef EARLY_LOOK
	if
	:: gate[0] == 0
	:: gate[0] != 0 -> lock = FREE; wait_gate(0); goto again
	MAY_DIE
	fi;
#endif
	if
	:: word[0] = 1
	MAY_DIE
	fi;
	if
	:: word[1] = 1
	MAY_DIE
	fi;
	lock = FREE;
gone:
	ended++
}

/* txn_get() of a key in each map: as of one instant between commits. */
proctype reader(byte me)
{
	byte d, sum, seen[MAPS];

again:
	seen[0] = commits[0];
	if
	:: seen[0] & 1 -> wait_gate(0); goto again
	:: else
	fi;
	sum = value[0];
	seen[1] = commits[1];
	if
	:: seen[1] & 1 -> wait_gate(1); goto again
	:: else
	fi;
	sum = sum + value[1];
	atomic {
		if
		:: seen[0] == commits[0] && seen[1] == commits[1] -> assert(sum == 2 * START)
		:: else -> goto again
		fi
	}
gone:
	ended++
}

/* When all have ended, by whatever. */
proctype auditor(byte me)
{
	byte d;

	atomic { ended == 3 -> deaths = DEATHS }
	wait_gate(0);
	wait_gate(1);
	assert(value[0] == START - done && value[1] == START + done);
	assert(lock == DIED || word[0] == word[1]);
	assert(!(commits[0] & 1) && !(commits[1] & 1));
gone:
	skip
}

init {
	atomic {
		value[0] = START;
		value[1] = START;
		run auditor(7);
		run txn(1);
		if
		:: run snapshot(2)
		:: run txn(2)
		fi;
		if
		:: run writer(3)
		:: run reader(3)
		:: run snapshot(3)
		fi
	}
}
