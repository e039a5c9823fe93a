/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [ring] in include/concur/detail/ipc/ring.hpp: a pool that offers, revokes and
 * reads replies at will, over a ring of two slots that turns twice, and a worker that may be killed
 * between any two steps and gets a successor. Each call comes to exactly one end: replied,
 * revoked, lost (one per kill at most) or never started; only the first and the third have run, and
 * once. Arguments and results are written in two steps and nobody reads or overwrites them halfway.
 *
 * -DBROKEN=1: the worker takes with a store, not with a CAS: it runs what was revoked.
 * -DBROKEN=2: the worker skips to the position that it sees in the slot: it passes calls over.
 * -DBROKEN=3: the pool uses a slot again when its call has started, not when the reply was read.
 * -DBROKEN=4: the successor starts at position 1.
 */
#define SLOTS 2
#define LAST 5
#ifndef KILLS
#define KILLS 1             /* -DKILLS=2 holds as well: 10 million states */
#endif

#define OFFERED(p) (4 * (p))
#define TAKEN(p) (4 * (p) + 1)
#define REVOKED(p) (4 * (p) + 2)
#define AT(p) ((p) % SLOTS)

byte claim[SLOTS], done[SLOTS]
byte arguments[SLOTS]       /* the position that they belong to; 0: half written */
byte result[SLOTS]
byte first = 1
byte alive = 1              /* generation of the living worker; 0: none */
byte generation = 1
byte kills = 0

/* What only the checker sees. */
byte runs[LAST + 1]
byte end_of[LAST + 1]
#define REPLIED 1
#define WITHDRAWN 2
#define LOST 3
#define NEVER 4

inline ends(p, how) {
    assert(end_of[p] == 0);
    assert(runs[p] == (how == REPLIED || how == LOST));
    end_of[p] = how
}

inline starts(p) {
    assert(runs[p] == 0 && end_of[p] == 0);
    runs[p]++
}

proctype worker(byte me) {
    byte p, seen;
    p = first;
#if BROKEN == 4
    p = 1;
#endif
    do
    :: atomic { alive != me -> break }
    :: atomic { alive == me && claim[AT(p)] / 4 >= p -> seen = claim[AT(p)] };
        if
        :: atomic { alive != me -> break }
#if BROKEN == 1
        :: atomic { alive == me && seen == OFFERED(p) ->
            claim[AT(p)] = TAKEN(p); starts(p); goto run_it }
#else
        :: atomic { alive == me && seen == OFFERED(p) && claim[AT(p)] == seen ->
            claim[AT(p)] = TAKEN(p); starts(p); goto run_it }
        :: atomic { alive == me && seen == OFFERED(p) && claim[AT(p)] != seen ->
            seen = claim[AT(p)]; goto skip_it }
#endif
        :: atomic { alive == me && seen != OFFERED(p) -> goto skip_it }
        fi;
skip_it:
        atomic {
            assert(seen / 4 >= p);
            if
            :: seen / 4 == p -> p++
#if BROKEN == 2
            :: else -> p = seen / 4
#else
            :: else -> p = seen / 4 - SLOTS + 1
#endif
            fi;
            goto next_one
        }
run_it:
        /* claim has moved: from here on a kill costs this call */
        if
        :: atomic { alive != me -> break }
        :: atomic { alive == me -> assert(arguments[AT(p)] == p) }
        fi;
        if
        :: atomic { alive != me -> break }
        :: atomic { alive == me -> assert(arguments[AT(p)] == p); result[AT(p)] = 0 }
        fi;
        if
        :: atomic { alive != me -> break }
        :: atomic { alive == me -> result[AT(p)] = p }
        fi;
        if
        :: atomic { alive != me -> break }
        :: atomic { alive == me -> done[AT(p)] = p; p++ }
        fi;
next_one: skip
    od
}

proctype killer() {
    do
    :: atomic { alive != 0 && kills < KILLS -> alive = 0; kills++ }
    :: break
    od
}

#define GONE(p) (end_of[p] == WITHDRAWN)

inline skip_withdrawn() {
    do
    :: oldest != next && GONE(oldest) -> oldest++
    :: else -> break
    od
}

proctype pool() {
    byte next = 1, oldest = 1, p, lost;
    do
#if BROKEN == 3
    :: next <= LAST && (next <= SLOTS || claim[AT(next)] != OFFERED(next - SLOTS)) ->
#else
    :: next <= LAST && next - oldest < SLOTS ->
#endif
        arguments[AT(next)] = 0;
        arguments[AT(next)] = next;
        atomic { claim[AT(next)] = OFFERED(next); next++ }
    :: atomic { oldest < next ->
            select(p : oldest .. next - 1);
            if
            :: !GONE(p) && claim[AT(p)] == OFFERED(p) ->
                claim[AT(p)] = REVOKED(p);
                ends(p, WITHDRAWN);
                skip_withdrawn()
            :: else -> skip
            fi;
            p = 0 }
    :: oldest < next && done[AT(oldest)] == oldest ->
        assert(result[AT(oldest)] == oldest);
        atomic {
            assert(result[AT(oldest)] == oldest);
            ends(oldest, REPLIED);
            oldest++;
            skip_withdrawn()
        }
    :: atomic { alive == 0 && !(oldest < next && done[AT(oldest)] == oldest) ->
        /* Nobody else moves now. */
        lost = 0;
        for (p : oldest .. next - 1) {
            if
            :: GONE(p) -> skip
            :: else ->
                assert(done[AT(p)] != p);
                if
                :: claim[AT(p)] == OFFERED(p) -> ends(p, NEVER)
                :: else -> ends(p, LOST); lost++
                fi
            fi
        }
        assert(lost <= 1);
        oldest = next;
        first = next;
        generation++;
        alive = generation;
        run worker(generation) }
    :: atomic { next > LAST && oldest == next -> break }
    od;
    atomic {
        for (p : 1 .. LAST) { assert(end_of[p] != 0) }
        alive = 0
    }
}

init {
    atomic {
        run worker(1);
        run killer();
        run pool()
    }
}
