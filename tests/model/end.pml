/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [end] in include/concur/detail/thread_pool/core.hpp and shutdown.hpp: two
 * workers, a job that submits another one, wait_idle() and then shutdown() by an outside thread.
 * Workers are woken by tokens only; the wake-ups for work are in idle.pml, so here every task gives
 * every sleeper a token.
 *
 * Retired is never ahead of admitted, wait_idle() returns only at rest, workers leave only when the
 * gate is shut and all is over, and in the end everybody has left.
 *
 * -DBROKEN=1: a worker does not tell on its way to sleep. -DBROKEN=2: all_retired() reads admitted
 * before retired, so a child that is admitted in between can make up for its running parent.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define WORKERS 2

byte queue = 0
byte children = 1                  /* tasks that submit one more */
byte admitted = 0
byte retired[WORKERS]
byte running = 0                   /* jobs that are not over: what the counts stand for */
bool shut = false
bool idle_waiter = false
bool notified = false              /* changed_, notified under the mutex */
bool mutex = false
bool token[WORKERS]
bool left[WORKERS]

#define RETIRED (retired[0] + retired[1])

inline all_retired(answer) {
#if BROKEN == 2
    a = admitted;
    r = retired[0];
    r = r + retired[1];
#else
    r = retired[0];
    r = r + retired[1];
    a = admitted;
#endif
    answer = (r == a)
}

inline wake_everybody() { token[0] = true; token[1] = true }

inline submit() {
    running++;
    admitted++;
    queue++;
    wake_everybody()
}

inline tell_if_idle() {
    if
    :: shut || idle_waiter ->
        all_retired(yes);
        if
        :: yes ->
            atomic { !mutex -> mutex = true }
            notified = true;
            mutex = false;
            if
            :: shut -> wake_everybody()
            :: else -> skip
            fi
        :: else -> skip
        fi
    :: else -> skip
    fi
}

proctype worker(byte me) {
    byte a, r;
    bool yes, parent;
search:
    if
    :: atomic { queue > 0 -> queue--; parent = (children > 0); children = 0 }
        if
        :: parent -> submit()                /* from inside the task: before it retires */
        :: else -> skip
        fi;
        atomic { running--; retired[me]++; assert(RETIRED <= admitted) }
        goto search
    :: atomic { queue == 0 -> skip }
    fi;
#if BROKEN != 1
    tell_if_idle();
#endif
    if                                       /* over() */
    :: shut ->
        all_retired(yes);
        if
        :: yes ->
            assert(running == 0 && queue == 0);
            wake_everybody();
            left[me] = true;
            goto gone
        :: else -> skip
        fi
    :: else -> skip
    fi;
    atomic { token[me] -> token[me] = false }
    goto search;
gone:
    skip
}

/* changed_.wait(lock, all_retired) */
inline wait_until_retired() {
    do
    :: atomic { !mutex -> mutex = true }
        all_retired(yes);
        if
        :: yes -> mutex = false; break
        :: else -> atomic { notified = false; mutex = false }    /* waits and unlocks in one */
            notified
        fi
    od
}

active proctype outside() {
    byte a, r;
    bool yes;
    submit();
    idle_waiter = true;
    wait_until_retired();
    assert(running == 0);
    idle_waiter = false;
    shut = true;
    tell_if_idle();
    wait_until_retired();
    wake_everybody();                        /* join_threads() */
    left[0] && left[1];
    assert(running == 0 && queue == 0)
}

init {
    atomic { run worker(0); run worker(1) }
}
