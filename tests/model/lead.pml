/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [lead] in include/concur/detail/ipc/lead.hpp, as a process pool uses it: a
 * ringer makes two changes and rings. A loop listens, and may be held up for ever in foreign code; a
 * thread takes the bell if it can, sleeps on it, and leaves after one change or because it does not
 * want to wait any more; else it follows, until all changes are read; the pool's own thread reads
 * once somebody has said that it has to (attention). Whoever reads a change tells the loop, and
 * rings for the thread. All words are seq_cst; that the look after an announcement sees the change is
 * the doorbell's matter, and modelled there. A change that nobody ever reads is a process that
 * never comes to its end.
 *
 * -DBROKEN=1: a thread that takes the bell from the loop does not call for attention.
 * -DBROKEN=2: the loop does not look, after it shows itself, for who found the bell held.
 * -DBROKEN=3: the loop, when it goes, withdraws without holding the bell.
 * -DBROKEN=4: a thread that leaves does not wake the pool's thread.
 */
#define CHANGES 2
#define NOBODY 0
#define HELD 1
#define LOOP 2
#define FUTEX 1
#define DESCRIPTOR 2

byte made = 0, seen = 0             /* changes */
byte holder = NOBODY
byte asleep = 0
bool event = false                  /* the eventfd is readable */
bool futex[2]                       /* thread, manager: woken out of the kernel */
bool told = false                   /* the loop: somebody has read what it waits for */
bool attention = false
bool control = false                /* the manager's word has changed */
bool in_loop = false                /* the loop's own timer goes off */

inline read_all() {
    d_step {
        if
        :: seen < made -> seen = made; told = true
        :: else
        fi
    }
}
#define OVER (seen == CHANGES)

inline ring() {
    byte how;
    if
    :: asleep != 0 ->
        d_step { how = asleep; asleep = 0 }
        if
        :: how == FUTEX -> d_step { futex[0] = true; futex[1] = true }
        :: how == DESCRIPTOR -> event = true
        :: else
        fi
    :: else
    fi
}
inline wake_manager() { control = true }

proctype ringer() {
    made = 1;
    ring();
    made = 2;
    ring()
}

proctype loop() {
    bool woken;
    do
    :: OVER -> break
    :: else ->
        woken = false;
        if
        :: !attention && holder == NOBODY ->
            atomic {
                if
                :: holder == NOBODY -> holder = HELD
                :: else -> goto others
                fi
            }
            asleep = DESCRIPTOR;
            holder = LOOP;
#if BROKEN != 2
            if
            :: attention -> wake_manager()
            :: else
            fi;
#endif
            read_all();
            if
            :: OVER -> skip
            :: else ->
                if
                :: event -> woken = true
                :: told -> told = false
                :: in_loop -> in_loop = false      /* a timer: it goes on with other things, */
                    if
                    :: true -> goto foreign        /* and may not come back */
                    :: true -> skip
                    fi
                fi
            fi;
#if BROKEN == 3
            asleep = 0;
#endif
            atomic {
                if
                :: holder == LOOP -> holder = HELD
                :: else -> goto again              /* it was taken away */
                fi
            }
            asleep = 0;
            if
            :: woken -> event = false
            :: else
            fi;
            holder = NOBODY;
            if
            :: attention -> wake_manager()
            :: else
            fi
        :: else ->
others:     if
            :: !attention -> attention = true; wake_manager()
            :: else
            fi;
            if
            :: OVER -> skip
            :: else ->
                if
                :: told -> told = false
                :: event -> skip                   /* left over: Asio comes back for nothing */
                :: in_loop -> in_loop = false
                fi
            fi
        fi;
again:  read_all();
        ring()
    od;
    goto out;
foreign:
end_foreign: false;
out: skip
}

/* Waits for a change, or leaves before: it has a deadline. */
proctype thread() {
    bool from_loop = false;
    bool deadline = false;
    byte before = seen;
    if
    :: true -> deadline = true
    :: true -> skip
    fi;
    atomic {
        if
        :: holder == HELD -> goto follow
        :: else -> from_loop = (holder == LOOP); holder = HELD
        fi
    }
#if BROKEN != 1
    if
    :: from_loop && !attention -> attention = true; wake_manager()
    :: else
    fi;
#endif
    futex[0] = false;
    asleep = FUTEX;
    read_all();
    if
    :: seen != before -> skip
    :: else ->
        atomic {
            if
            :: asleep == FUTEX -> skip
            :: else -> goto awake                  /* the kernel compares */
            fi
        };
        if
        :: futex[0] -> skip
        :: deadline -> skip
        fi
    fi;
awake:
    asleep = 0;
    read_all();
    holder = NOBODY;
#if BROKEN != 4
    if
    :: attention -> wake_manager()
    :: else
    fi;
#endif
    goto out;
follow:
    attention = true;
    wake_manager();
    OVER;
out: skip
}

proctype manager() {
    bool leads;
end:
    do
    :: OVER -> break
    :: else ->
        control = false;
        read_all();
        ring();
        leads = false;
        if
        :: attention ->
            atomic {
                if
                :: holder != HELD -> holder = HELD; leads = true
                :: else
                fi
            }
        :: else
        fi;
        if
        :: leads -> futex[1] = false; asleep = FUTEX; read_all()
        :: else
        fi;
end_sleeps:
        if
        :: control -> skip
        :: leads && (futex[1] || asleep != FUTEX) -> skip
        :: OVER -> skip
        fi;
        if
        :: leads -> asleep = 0; holder = NOBODY
        :: else
        fi
    od
}

proctype timer() { in_loop = true }

init {
    atomic {
        run ringer();
        run timer();
        run loop();
        run thread();
        run manager()
    }
}
