/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leases, grace periods and the reuse of memory (src/sync/lease.c, the pools of src/map/htab_pool.c):
 * two readers that take leases, look the element up, read it and go, of which up to one dies at any step;
 * a writer that replaces the element and uses the old one's memory again.
 *
 * Claims: an element that a reader holds is not used again before its lease ends; the writer
 * gets on whatever readers do or die of.
 *
 * Errors to be found:
 *   -DNO_GRACE       memory is used again at once
 *   -DEARLY_STAMP    the stamp is taken before the element is unlinked
 *   -DSKIP_OLD       a lease of the stamp's own epoch is not waited for
 *   -DDEAD_HOLD      a dead reader's lease is held for good
 */
#define READERS 2
#define LEASES 2
#define ROUNDS 2  /* of the writer */
#define ELEMENTS 3
#define NOBODY 0
#define DIED 9

byte lease_owner[LEASES], lease_epoch[LEASES];
byte epoch = 1;
byte linked;		 /* the element that a lookup finds */
byte life[ELEMENTS];	 /* how often its memory was used */
byte deaths;

#define MAY_DIE                                                                                    \
	:: atomic {                                                                                \
		deaths < 1 ->                                                                      \
		deaths++;                                                                          \
		if                                                                                 \
		:: mine < LEASES && lease_owner[mine] == me -> lease_owner[mine] = DIED            \
		:: else                                                                            \
		fi;                                                                                \
		goto gone                                                                          \
	   }

proctype reader(byte me)
{
	byte mine = LEASES, seen, element, was, rounds = 0;

	do
	:: rounds < 1 ->
		rounds++;
		/* lease_acquire(): reads the epoch, then one compare-and-swap */
		seen = epoch;
		if
		:: atomic {
			lease_owner[0] == NOBODY || lease_owner[0] == DIED ->
			lease_owner[0] = me;
			lease_epoch[0] = seen;
			mine = 0
		   }
		:: atomic {
			lease_owner[1] == NOBODY || lease_owner[1] == DIED ->
			lease_owner[1] = me;
			lease_epoch[1] = seen;
			mine = 1
		   }
		MAY_DIE
		fi;
		/* a lookup, as of one instant (the table's own proof) */
		if
		:: atomic { element = linked; was = life[element] }
		MAY_DIE
		fi;
		/* the program reads it, and again */
		if
		:: assert(life[element] == was)
		MAY_DIE
		fi;
		if
		:: assert(life[element] == was)
		MAY_DIE
		fi;
		atomic { lease_owner[mine] = NOBODY; mine = LEASES }
	:: else -> break
	od;
gone:
	skip
}

/* lease_elapsed(): true when nobody who may have seen it has a lease; else a new epoch begins. */
#ifdef SKIP_OLD
#define IN_THE_WAY(l) (lease_owner[l] != NOBODY && lease_owner[l] != DIED && lease_epoch[l] < stamp)
#else
#ifdef DEAD_HOLD
#define IN_THE_WAY(l) (lease_owner[l] != NOBODY && lease_epoch[l] <= stamp)
#else
#define IN_THE_WAY(l) (lease_owner[l] != NOBODY && lease_owner[l] != DIED && lease_epoch[l] <= stamp)
#endif
#endif

proctype writer()
{
	byte round = 0, old, new, l, stamp;
	byte limbo = ELEMENTS; /* the element unlinked last */

	new = 1;
	do
	:: round < ROUNDS ->
		round++;
#ifdef EARLY_STAMP
		stamp = epoch;
#endif
		/* the new element is filled before it is linked: its memory begins another life */
		life[new] = life[new] + 1;
		old = linked;
		linked = new;
#ifndef EARLY_STAMP
		stamp = epoch;
#endif
#ifndef NO_GRACE
		l = 0;
		do
		:: l < LEASES ->
			if
			:: atomic { IN_THE_WAY(l) -> epoch = (epoch <= stamp -> stamp + 1 : epoch) };
			   /* lease_wait() */
			   !IN_THE_WAY(l)
			:: else
			fi;
			l++
		:: else -> break
		od;
#endif
		new = old
	:: else -> break
	od
}

/* Somebody else's grace periods: epochs go on at any time. */
proctype others()
{
	byte n = 0;

	do
	:: n < 2 -> atomic { epoch++; n++ }
	:: break
	od
}

init {
	atomic {
		run reader(1);
		run reader(2);
		run writer();
		run others()
	}
}
