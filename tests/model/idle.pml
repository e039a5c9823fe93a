/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [idle] in include/concur/detail/thread_pool/idle_set.hpp, with the parts of
 * wait_for_work() and sleep() of the pool: two workers, and a submitter of TASKS tasks. `queue` is
 * all the places where work may lie; counts is one word in the header, so it is read at one step.
 *
 * No lost wake-up: when everybody is blocked, there is no work left (an invalid end state or the
 * assertion otherwise). Handing over: while a worker is busy for ever with a task, the others' work
 * is still run: task 1 ends only after all other tasks have ended.
 *
 * -DBROKEN=1: no second look before sleeping. -DBROKEN=2: the last searcher does not wake the next.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define TASKS 3
#define WORKERS 2

byte queue = 0                   /* tasks that nobody has taken */
byte searching = WORKERS
byte sleeping = 0
bool listed[WORKERS]             /* in sleepers_ */
bool token[WORKERS]              /* of its parker */
byte submitted = 0, finished = 0
bit first_task_taken = 0

/* idle_set::wake_worker(): under its lock, then unpark(). */
inline wake_worker() {
    atomic {
        w = WORKERS;
        if
        :: sleeping > 0 && searching == 0 ->
            if
            :: listed[0] -> w = 0
            :: listed[1] -> w = 1
            fi;
            listed[w] = false; sleeping--; searching++
        :: else -> skip
        fi
    }
    if
    :: w < WORKERS -> token[w] = true
    :: else -> skip
    fi
}

active proctype submitter() {
    byte w, s, r;
    do
    :: submitted < TASKS ->
        atomic { submitted++; queue++ }
        d_step { s = sleeping; r = searching }
        if
        :: s > 0 && r == 0 -> wake_worker()
        :: else -> skip
        fi
    :: else -> break
    od
}

proctype worker(byte me) {
    byte w;
    bool last, long_task;
search:
    long_task = false;
    if
    :: atomic { queue > 0 -> queue--; long_task = (first_task_taken == 0); first_task_taken = 1 }
    :: atomic { queue == 0 -> goto sleep }
    fi;
    /* found: stop_search() */
    atomic { last = (searching == 1); searching-- }
#if BROKEN != 2
    if
    :: last && queue > 0 -> wake_worker()
    :: else -> skip
    fi;
#endif
execute:
    if
    :: long_task -> finished == TASKS - 1      /* it needs all the others to have run */
    :: else -> skip
    fi;
    finished++;
    /* next() */
    long_task = false;
    if
    :: atomic { queue > 0 -> queue--; long_task = (first_task_taken == 0); first_task_taken = 1;
                goto execute }
    :: atomic { queue == 0 -> skip }
    fi;
    searching++;                               /* start_search() */
    goto search;
sleep:
    atomic { listed[me] = true; sleeping++; searching-- }      /* fall_asleep() */
#if BROKEN != 1
    if
    :: queue > 0 ->                                            /* the second look */
        atomic {                                               /* get_up() */
            if
            :: listed[me] -> listed[me] = false; sleeping--; searching++
            :: else -> skip
            fi
        }
        goto search
    :: else -> skip
    fi;
#endif
park:
end_asleep:
    atomic { token[me] -> token[me] = false }
    if
    :: listed[me] -> goto park                                 /* an old token */
    :: else -> goto search
    fi
}

/* Everybody is blocked only when all is done. */
active proctype judge() {
    timeout;
    assert(queue == 0 && finished == TASKS);
    assert(searching == 0 && sleeping == WORKERS)
}

init {
    atomic { run worker(0); run worker(1) }
}
