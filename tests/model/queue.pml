/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [ipc-queue] in include/concur/detail/ipc/queue.hpp: two processes that push and
 * one that pops, or one and two, over one slot and two spare nodes; one of them may be killed
 * between any two steps. (It dies before a write: what it reads last makes no difference.) Items come out in the order of the exchanges, once, never torn, and none is lost. When
 * all have ended or are dead, somebody who comes later finds the queue whole: it pops what is left,
 * fills every slot, and finds every spare node.
 *
 * -DBROKEN=1: a push does not finish its predecessor's: the node of a dead one is lost.
 * -DBROKEN=2: who inherits a node does not look at the slots again after the death.
 * -DBROKEN=3: finish() trusts the note without a second look at the slot.
 * -DBROKEN=4: slots have no stages beyond empty and full.
 * -DBROKEN=5: nodes have no versions.
 */
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef SPARES
#define SPARES 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define NODES (SLOTS + SPARES)
#define ITEMS 5             /* pushes in all, at most */
#define NONE 15
#define FREE 0              /* owners are 1 to 4, AUDITOR comes after all */
#define AUDITOR 5
#define VIRGIN 6            /* named by a slot from the start */

#if BROKEN == 4
#define SAME(seen_stage, stage_now) ((seen_stage) % 2 == (stage_now) % 2)
#else
#define SAME(seen_stage, stage_now) ((seen_stage) == (stage_now))
#endif
#if BROKEN == 5
#define VERSION_AFTER(v) (v)
#else
#define VERSION_AFTER(v) ((v) + 1)
#endif

byte tail, head             /* positions from 0; slot p % SLOTS, turn p / SLOTS */
byte stage[SLOTS], named[SLOTS]
byte owner[NODES], version[NODES]
byte place[NODES], old_node[NODES], old_owner[NODES], old_version[NODES]
bit noted[NODES]
byte half1[NODES], half2[NODES]
bit dead[7]
byte kills, ended

/* What only the checker sees. */
byte order[ITEMS + SLOTS + 1]
byte pushed, popped
byte spares = SPARES

#define AT(p) ((p) % SLOTS)
#define STAGE(p) (2 * ((p) / SLOTS))

/* A write to shared memory: done, or the process dies before it. Not where to die is the same as
 * at the next such place. */
#define MAY_DIE :: atomic { kills < KILLS && me != AUDITOR -> kills++; dead[me] = 1; goto over }

inline set_free(x, o, v) {
    if
    :: atomic { owner[x] == o && version[x] == v -> owner[x] = FREE; version[x] = VERSION_AFTER(v) }
    :: atomic { !(owner[x] == o && version[x] == v) -> skip }
    MAY_DIE
    fi
}

/* What the push that put r into slot s may have left to do; the slot was seen as (st, r). */
inline finish(s, st, r) {
    atomic { f_noted = noted[r]; f_old = old_node[r] }
    /* state and owner of the old node are one word */
    atomic { f_owner = old_owner[r]; f_version = old_version[r] }
    if
#if BROKEN == 3
    :: f_noted -> set_free(f_old, f_owner, f_version)
#else
    :: atomic { f_noted && stage[s] == st && named[s] == r ->
        if
        :: owner[f_old] == f_owner && version[f_old] == f_version
        :: else -> f_noted = 0
        fi }
        if
        :: f_noted -> set_free(f_old, f_owner, f_version)
        :: else
        fi
#endif
    :: else
    fi;
    atomic { f_noted = 0; f_old = 0; f_owner = 0; f_version = 0 }
}

inline try_take(res) {
    if
    :: atomic { owner[n] == n_owner && version[n] == n_version ->
        owner[n] = me; version[n] = VERSION_AFTER(n_version); res = n }
    :: atomic { !(owner[n] == n_owner && version[n] == n_version) -> skip }
    fi
}

/* A hint leads to any free one; else a look at all of them. NONE: the living hold them. */
inline take_node(res) {
    atomic { res = NONE; n = 0 }
    do
    :: atomic { n < NODES && res == NONE -> n_owner = owner[n]; n_version = version[n] }
        if
        :: n_owner == FREE -> try_take(res)
        :: n_owner == me || n_owner == VIRGIN
        :: else ->
            n_place = place[n];
            atomic { n_stage = stage[n_place]; n_named = named[n_place] }
            if
            :: n_named == n -> finish(n_place, n_stage, n)
            :: atomic { n_named != n && dead[n_owner] -> skip }
#if BROKEN != 2
                n_place = place[n];
                atomic { n_stage = stage[n_place]; n_named = named[n_place] }
                if
                :: n_named == n -> finish(n_place, n_stage, n)
                :: else -> try_take(res)
                fi
#else
                try_take(res)
#endif
            :: atomic { n_named != n && !dead[n_owner] -> skip }
            fi
        fi;
        atomic { n++; n_owner = 0; n_version = 0; n_place = 0; n_stage = 0; n_named = 0 }
    :: atomic { !(n < NODES && res == NONE) -> n = 0; break }
    od
}

/* A plain store: it may set the position back. */
inline advance(position, from) {
    if
    :: position = from + 1
    MAY_DIE
    fi
}

/* result: 1 pushed, 0 full or no node */
inline push(item) {
    mine = NONE;
    at = tail;
    do
    ::  atomic { s = AT(at); st = stage[s]; nd = named[s] }
        if
        :: st + 1 == STAGE(at) ->
            if
            :: atomic { mine != NONE -> owner[mine] = FREE; version[mine] = VERSION_AFTER(version[mine]) }
            :: mine == NONE
            fi;
            result = 0;
            break
        :: st == STAGE(at) ->
            if
            :: mine == NONE ->
                take_node(mine);
                if
                :: mine == NONE -> result = 0; break
                :: else
                fi;
                half1[mine] = item;
                if :: half2[mine] = item MAY_DIE fi
            :: else
            fi;
            atomic { o_owner = owner[nd]; o_version = version[nd] }
#if BROKEN != 1
            finish(s, st, nd);
#endif
            if
            :: atomic { noted[mine] = 1; old_node[mine] = nd; place[mine] = s }
            MAY_DIE
            fi;
            if
            :: atomic { old_owner[mine] = o_owner; old_version[mine] = o_version }
            MAY_DIE
            fi;
            if
            :: atomic { SAME(st, stage[s]) && named[s] == nd ->
                stage[s] = stage[s] + 1; named[s] = mine; result = 1;
                order[pushed] = item; pushed++ }
            :: atomic { !(SAME(st, stage[s]) && named[s] == nd) -> result = 2 }
            MAY_DIE
            fi;
            if
            :: result == 1 ->
                set_free(nd, o_owner, o_version);
                advance(tail, at);
                break
            :: else
            fi
        :: else -> at++
        fi
    od;
    atomic { mine = 0; at = 0; s = 0; st = 0; nd = 0; o_owner = 0; o_version = 0 }
}

/* result: 1 popped, 0 empty */
inline pop() {
    at = head;
    do
    ::  atomic { s = AT(at); st = stage[s]; nd = named[s] }
        if
        :: st == STAGE(at) -> result = 0; break
        :: st == STAGE(at) + 1 ->
            copy1 = half1[nd];
            copy2 = half2[nd];
            if
            :: atomic { SAME(st, stage[s]) && named[s] == nd ->
                stage[s] = stage[s] + 1; result = 1;
                assert(popped < pushed);
                assert(copy1 == order[popped] && copy2 == order[popped]);
                popped++ }
            :: atomic { !(SAME(st, stage[s]) && named[s] == nd) -> result = 2 }
            fi;
            atomic { copy1 = 0; copy2 = 0 }
            if
            :: result == 1 -> advance(head, at); break
            :: else
            fi
        :: else -> at++
        fi
    od;
    atomic { at = 0; s = 0; st = 0; nd = 0 }
}

#define LOCALS byte at, s, st, nd, result, i
#define PUSH_LOCALS byte mine, o_owner, o_version, f_old, f_owner, f_version; bit f_noted; \
    byte n, n_owner, n_version, n_place, n_stage, n_named
#define POP_LOCALS byte copy1, copy2

proctype pusher(byte me; byte first; byte count) {
    LOCALS; PUSH_LOCALS;
    do
    :: i < count -> push(first + i); atomic { i++; result = 0 }
    :: else -> break
    od;
over:
    ended++
}

proctype popper(byte me; byte count) {
    LOCALS; POP_LOCALS;
    do
    :: i < count -> pop(); atomic { i++; result = 0 }
    :: else -> break
    od;
over:
    ended++
}

/* Comes when nobody else moves any more. */
proctype auditor(byte me) {
    LOCALS; PUSH_LOCALS; POP_LOCALS;
    ended == 4;
    do
    :: pop(); if :: result == 0 -> break :: else fi
    od;
    assert(popped == pushed);
    do
    :: i < SLOTS ->
        push(100 + i);
        if :: result == 0 -> push(100 + i) :: else fi;
        assert(result == 1);
        i++
    :: else -> break
    od;
    push(99);
    assert(result == 0);
    /* nobody gives back what it takes here */
    i = 0;
    do
    :: i < spares ->
        take_node(mine);
        if :: mine == NONE -> take_node(mine) :: else fi;
        assert(mine != NONE);
        i++
    :: else -> break
    od;
    take_node(mine);
    assert(mine == NONE);
over:
    skip
}

init {
    atomic {
        byte i;
        for (i : 0 .. SLOTS - 1) { named[i] = i; owner[i] = VIRGIN }
        /* all four at once would be too many states */
        if
        :: run pusher(1, 1, 3); run pusher(2, 4, 1); run popper(3, 2); ended = 1
        :: run pusher(1, 1, 3); run popper(3, 2); run popper(4, 1); ended = 1
        :: spares = 1; owner[NODES - 1] = VIRGIN;   /* nobody takes it */
            run pusher(1, 1, 3); run pusher(2, 4, 2); run popper(3, 2); ended = 1
        fi;
        run auditor(AUDITOR)
    }
}
