/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Redo records under an element's lock (src/map/redo.h): two threads that each change a value of two words
 * by BPF_F_LOCK (staged, then applied) or in a program's section (kept as it was, changed in place), of which
 * up to two die at any step; and a third that looks at the end of all. The lock is lock.pml's, here one step.
 *
 * Claims: who has the lock, and has settled what a dead holder left, finds both words alike; a write that was staged
 * has happened, a section that was over stays, one that was not is undone.
 *
 * Errors to be found:
 *   -DLATE_TAG       the tag is stored after the first word in place
 *   -DNO_SETTLE      who takes a dead holder's lock does not settle
 *   -DLATE_FORGET    the tag of a section is cleared after the lock is let go
 *   -DAPPLY_CLAIMED  what is only being staged is applied, too
 */
#define THREADS 2
#define DEATHS 2
#define RECORDS 3
#define FREE 0
#define DIED 9
#define NONE 0
#define CLAIMED 1
#define STAGED 2

byte lock = FREE;
byte word[2];
byte tag[RECORDS], staged0[RECORDS], staged1[RECORDS];
byte deaths;
byte next = 1;	/* each change has a value of its own */
byte settled;	/* the last value that is sure to have happened */

#define MAY_DIE                                                                                    \
	:: atomic {                                                                                \
		deaths < DEATHS ->                                                                 \
		deaths++;                                                                          \
		lock = (lock == me -> DIED : lock);                                                \
		goto gone                                                                          \
	   }

#ifdef APPLY_CLAIMED
#define TO_APPLY(i) (tag[i] != NONE)
#else
#define TO_APPLY(i) (tag[i] == STAGED)
#endif

inline take_lock()
{
	if
	:: atomic { lock == FREE -> lock = me; died = false }
	:: atomic { lock == DIED -> lock = me; died = true }
	MAY_DIE
	fi;
#ifndef NO_SETTLE
	i = 0;
	do
	:: died && i < RECORDS ->
		if
		:: TO_APPLY(i) ->
			if
			:: word[0] = staged0[i]
			MAY_DIE
			fi;
			if
			:: word[1] = staged1[i]
			MAY_DIE
			fi
		:: else
		fi;
		if
		:: tag[i] = NONE
		MAY_DIE
		fi;
		i++
	:: else -> break
	od;
#endif
	assert(word[0] == word[1])
}

inline claim()
{
	/* the holder's own: there are more records than threads that ever were */
	if
	:: atomic { tag[0] == NONE -> tag[0] = CLAIMED; r = 0 }
	:: atomic { tag[0] != NONE && tag[1] == NONE -> tag[1] = CLAIMED; r = 1 }
	:: atomic { tag[0] != NONE && tag[1] != NONE && tag[2] == NONE -> tag[2] = CLAIMED; r = 2 }
	MAY_DIE
	fi
}

proctype changer(byte me)
{
	byte i, r, v, rounds = 0;
	bool died;

	do
	:: rounds < 2 ->
		rounds++;
		take_lock();
		atomic { v = next; next++ }
		claim();
		if
		:: /* BPF_F_LOCK: redo */
			if
			:: staged0[r] = v
			MAY_DIE
			fi;
			if
			:: staged1[r] = v
			MAY_DIE
			fi;
#ifdef LATE_TAG
			word[0] = v;
#endif
			if
			:: tag[r] = STAGED
			MAY_DIE
			fi;
			if
			:: word[0] = v
			MAY_DIE
			fi;
			if
			:: word[1] = v
			MAY_DIE
			fi;
			if
			:: tag[r] = NONE
			MAY_DIE
			fi
		:: /* a section: undo */
			if
			:: staged0[r] = word[0]
			MAY_DIE
			fi;
			if
			:: staged1[r] = word[1]
			MAY_DIE
			fi;
#ifdef LATE_TAG
			word[0] = v;
#endif
			if
			:: tag[r] = STAGED
			MAY_DIE
			fi;
			if
			:: word[0] = v
			MAY_DIE
			fi;
			if
			:: word[1] = v
			MAY_DIE
			fi;
#ifdef LATE_FORGET
			if
			:: atomic { lock = FREE; settled = v }
			MAY_DIE
			fi;
#endif
			if
			:: tag[r] = NONE
			MAY_DIE
			fi
		fi;
#ifdef LATE_FORGET
		if
		:: lock == me -> atomic { lock = FREE; settled = v }
		:: else
		fi
#else
		/* nobody can undo it any more */
		atomic { settled = v; assert(word[0] == v && word[1] == v) }
		if
		:: lock = FREE
		MAY_DIE
		fi
#endif
	:: else -> break
	od;
gone:
	skip
}

/* When all have ended: the value is whole, and not older than the last change that was over. */
proctype auditor(byte me)
{
	byte i;
	bool died;

	(_nr_pr == 2); /* init and we */
	deaths = DEATHS;
	take_lock();
	assert(word[0] >= settled);
gone:
	skip
}

init {
	atomic {
		run auditor(7);
		run changer(1);
		run changer(2)
	}
}
