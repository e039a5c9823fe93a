/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [state] in include/concur/detail/task/state.hpp: one task, a worker that claims
 * and publishes, a holder of the future that may cancel, and two waiters: one that waits until
 * it is told (never, and the model is stuck), one that may leave at a deadline. The word (phase, has_waiters, list_locked, references) is
 * changed in one step each time, as the header does.
 *
 * Every waiter that was linked is told exactly once, the callable is freed once, the state is
 * destroyed once, and not before the last reference is gone.
 *
 * -DBROKEN: publish() does not see a list that is locked but still empty.
 */
#define WAITERS 2
mtype = { pending, running, value, cancelled }

mtype phase = pending
bool has_waiters = false, list_locked = false
byte references = 2 + WAITERS       /* way to the worker, canceller, waiters */
bool in_list[WAITERS]
byte told[WAITERS]
byte freed = 0                      /* callable: run or dropped */
byte destroyed = 0
byte ended = 0

#define DONE (phase == value || phase == cancelled)
#define ANY_LISTED (in_list[0] || in_list[1])

inline release() {
    atomic {
        assert(references > 0 && destroyed == 0);
        references--;
        if
        :: references == 0 -> destroyed++
        :: else -> skip
        fi
    }
}

inline lock() { atomic { !list_locked -> list_locked = true } }
inline unlock() { atomic { list_locked = false; has_waiters = ANY_LISTED } }

inline tell_waiters() {
    lock();
    if
    :: in_list[0] -> in_list[0] = false; told[0]++
    :: else -> skip
    fi;
    if
    :: in_list[1] -> in_list[1] = false; told[1]++
    :: else -> skip
    fi;
    unlock()
}

#ifdef BROKEN
#define MUST_TELL has_waiters
#else
#define MUST_TELL (has_waiters || list_locked)
#endif

active proctype worker() {
    bool tell;
    if
    :: atomic { phase == pending -> phase = running }           /* claim() */
        freed++;
        assert(freed == 1);
        /* publish(): phase and reference in one step, unless there are waiters to tell */
        if
        :: atomic { MUST_TELL -> phase = value }
            tell_waiters();
            release()
        :: atomic { !MUST_TELL -> phase = value; references--;
                    if
                    :: references == 0 -> destroyed++
                    :: else -> skip
                    fi }
        fi
    :: atomic { phase != pending -> skip }
        release()
    fi;
    ended++
}

active proctype canceller() {
    bool tell;
    if
    :: skip                                                     /* does not cancel */
    :: atomic { phase == pending -> phase = cancelled; tell = MUST_TELL }
        if
        :: tell -> tell_waiters()
        :: else -> skip
        fi;
        freed++;
        assert(freed == 1)
    :: atomic { phase != pending -> skip }
    fi;
    release();
    ended++
}

active [WAITERS] proctype waits() {
    byte me = _pid - 2;
    /* add_waiter() */
    if
    :: atomic { !list_locked && !DONE -> list_locked = true }
        in_list[me] = true;
        unlock();
        if
        :: told[me] > 0 -> skip                                 /* woken */
        :: me == 1 -> skip                                      /* its deadline passed */
        fi;
        lock();                                                 /* remove_waiter() */
        in_list[me] = false;
        unlock();
    :: atomic { DONE -> skip }
    fi;
    assert(told[me] <= 1);
    release();
    ended++
}

active proctype judge() {
    ended == 2 + WAITERS;
    assert(destroyed == 1 && references == 0 && freed == 1);
    assert(!ANY_LISTED && !list_locked)
}
