/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [injection] in include/concur/detail/sync/injection_queue.hpp: two producers,
 * and a consumer that trusts empty(), as a worker does before it sleeps. Nothing is lost, nothing
 * comes twice, and once the producers are done, empty() is true only if all is out.
 *
 * -DBROKEN: empty() looks at tail alone. Then an item is overlooked that stands in front of the
 * stub because its producer had not linked it when the consumer pushed the stub.
 */
#define STUB 0
#define NONE 9
#define ITEMS 3          /* 1 and 2 by one producer, 3 by the other */

byte next[4]
byte head = STUB
byte tail = STUB
byte producers = 2
byte taken[4]
byte got = 0

#ifdef BROKEN
#define EMPTY (tail == STUB)
#else
#define EMPTY (tail == STUB && head == STUB)
#endif

inline push(item, before) {
    next[item] = NONE;
    atomic { before = tail; tail = item };
    next[before] = item
}

proctype producer(byte from; byte to) {
    byte before, i;
    for (i : from .. to) { push(i, before) }
    producers--
}

inline out(item) {
    d_step { taken[item]++; assert(taken[item] == 1); got++ }
}

proctype consumer() {
    byte first, second, before;
    do
    :: atomic { producers == 0 && EMPTY -> break }     /* it would sleep, for ever */
    :: !EMPTY ->
        first = head;
        second = next[first];
        if
        :: first == STUB && second == NONE -> goto again
        :: first == STUB && second != NONE ->
            first = second;
            head = first;
            second = next[first]
        :: else -> skip
        fi;
        if
        :: second != NONE -> head = second; out(first)
        :: second == NONE && first != tail -> skip
        :: second == NONE && first == tail ->
            push(STUB, before);
            second = next[first];
            if
            :: second == NONE -> skip
            :: else -> head = second; out(first)
            fi
        fi;
again:  skip
    od;
    assert(got == ITEMS)
}

init {
    atomic {
        next[STUB] = NONE;
        run producer(1, 2);
        run producer(3, 3);
        run consumer()
    }
}
