/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The robust lock word of src/sync/lock.h: three threads, of which up to two die, each at any step.
 * Every step is one instruction's effect on shared memory; a fence has no meaning here, as spin
 * interleaves whole steps.
 *
 * Claims: never two in the section; who gets the lock finds what it protects whole, or is told that
 * the holder died; nobody waits forever (spin: no invalid end state).
 *
 * Errors to be found:
 *   -DLATE_PENDING   the word is made known to the kernel after the compare-and-swap
 *   -DEARLY_CLEAR    and no longer known to it before the unlock
 *   -DNO_REPAIR      a dead holder's lock is taken like a free one
 *   -DNO_TIMEOUT     who sleeps does not look again by itself
 */
#define THREADS 3
#define DEATHS 2
#define FREE 0
#define DIED 9 /* with FREE..THREADS for TIDs */

byte owner = FREE;	   /* the TID in the word, or DIED */
bool waiters;		   /* FUTEX_WAITERS */
bool pending[THREADS + 1]; /* list_op_pending names the word */
bool asleep[THREADS + 1];
bool half;		   /* what is protected is in the middle of a change */
byte inside, deaths;

inline wake_one()
{
	if
	:: asleep[1] -> asleep[1] = false
	:: asleep[2] -> asleep[2] = false
	:: asleep[3] -> asleep[3] = false
	:: !asleep[1] && !asleep[2] && !asleep[3]
	fi
}

/* The thread is gone; the kernel walks its robust list. */
#define MAY_DIE                                                                                    \
	:: atomic {                                                                                \
		deaths < DEATHS ->                                                                 \
		deaths++;                                                                          \
		inside = (in_section -> inside - 1 : inside);                                      \
		if                                                                                 \
		:: pending[me] && owner == me -> owner = DIED; wake_one()                          \
		:: pending[me] && owner == FREE -> wake_one()                                      \
		:: else                                                                            \
		fi;                                                                                \
		goto gone                                                                          \
	   }

proctype thread(byte me)
{
	byte old;
	bool in_section, mine_waiters, died;

	/* lock_acquire() */
#ifndef LATE_PENDING
	if
	:: pending[me] = true
	MAY_DIE
	fi;
#endif
again:
	if
	:: atomic {
		owner == FREE && !waiters ->
		owner = me;
		waiters = mine_waiters;
		died = false
	   }
	:: atomic {
		owner == FREE && waiters ->
		owner = me;
		died = false
	   }
	:: atomic {
		owner == DIED ->
		owner = me;
#ifdef NO_REPAIR
		died = false
#else
		died = true
#endif
	   }
	:: atomic {
		/* FUTEX_WAITERS, then FUTEX_WAIT, which looks whether the word is that still */
		owner != FREE && owner != DIED ->
		old = owner;
		waiters = true
	   };
	   if
	   :: atomic {
		owner == old && waiters ->
		asleep[me] = true
	      };
	      mine_waiters = true;
	      do
	      :: !asleep[me] -> break
#ifndef NO_TIMEOUT
	      :: atomic { asleep[me] && owner != old -> asleep[me] = false; break }
#endif
	      MAY_DIE
	      od
	   :: else
	   fi;
	   goto again
	MAY_DIE
	fi;
#ifdef LATE_PENDING
	if
	:: pending[me] = true
	MAY_DIE
	fi;
#endif
	atomic {
		inside++;
		in_section = true;
		assert(inside == 1)
	}
	if
	:: died -> half = false
	:: else -> assert(!half)
	fi;
	if
	:: half = true
	MAY_DIE
	fi;
	if
	:: half = false
	MAY_DIE
	fi;
	/* lock_release() */
#ifdef EARLY_CLEAR
	pending[me] = false;
#endif
	if
	:: atomic { inside--; in_section = false }
	MAY_DIE
	fi;
	if
	:: waiters ->
		if
		:: atomic { owner = FREE; waiters = false }
		MAY_DIE
		fi;
		if
		:: atomic { wake_one() }
		MAY_DIE
		fi
	:: !waiters ->
		/* a plain store: who sets the bit before it, and after our look, is not woken */
		if
		:: atomic { owner = FREE; waiters = false }
		MAY_DIE
		fi
	MAY_DIE
	fi;
	pending[me] = false;
gone:
	skip
}

init {
	atomic {
		run thread(1);
		run thread(2);
		run thread(3)
	}
}
