/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [deque] in include/concur/detail/sync/deque.hpp: the owner pushes and pops, two
 * thieves steal. Each item leaves exactly once, also the last one. One step is one atomic access;
 * the accesses that the header makes seq_cst are the ones that this interleaving relies on.
 *
 * -DBROKEN: the owner takes the last item without asking top, so a thief may take it, too.
 */
#define ITEMS 3

byte slot[4]     /* position -> item; positions come again after a pop */
byte top = 0
byte bottom = 0
byte taken[4]    /* item -> how often it left */
byte ended = 0    /* processes that are through */

inline took(item) {
    d_step { taken[item]++; assert(taken[item] == 1) }
}

inline push(item) {
    slot[bottom] = item;
    bottom = bottom + 1
}

inline pop() {
    b = bottom;
    if
    :: b <= top -> skip                      /* the early look: top only grows */
    :: else ->
        b = b - 1;
        bottom = b;
        t = top;
        if
        :: t > b -> bottom = b + 1           /* empty: undo */
        :: t == b ->
            x = slot[b];
#ifdef BROKEN
            took(x);
#else
            if
            :: atomic { top == t -> top = t + 1 } took(x)
            :: atomic { top != t -> skip }   /* a thief was faster */
            fi;
#endif
            bottom = b + 1
        :: t < b -> x = slot[b]; took(x)
        fi
    fi
}

active proctype owner() {
    byte b, t, x;
    push(1);
    pop();
    push(2);
    push(3);
    pop();
    pop();
    pop();
    ended++
}

active [2] proctype thief() {
    byte t, b, x, tries = 0;
    do
    :: tries < 3 ->
        tries++;
        t = top;
        b = bottom;
        if
        :: t >= b -> skip
        :: else ->
            x = slot[t];
            if
            :: atomic { top == t -> top = t + 1 } took(x)
            :: atomic { top != t -> skip }
            fi
        fi
    :: tries == 3 -> break
    od;
    ended++
}

/* The owner's last pops found the deque empty, so everything must have left. */
active proctype judge() {
    ended == 3;
    assert(top == bottom);
    assert(taken[1] == 1 && taken[2] == 1 && taken[3] == 1)
}
