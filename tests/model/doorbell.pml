/* SPDX-License-Identifier: BSL-1.0
 * Model of Protocol [doorbell] in include/concur/detail/ipc/doorbell.hpp, and of a sleeper that
 * watches deaths as well (death.hpp): two ringers make changes and ring, one of them may die
 * between any two steps; the sleeper wants to see all changes of those that live. Each process has
 * a store buffer, as processors do. A lost wake-up is a sleeper that never comes to its end.
 *
 * -DBROKEN=1: no fence between a ringer's change and its look at asleep.
 * -DBROKEN=2: the sleeper does not look again after its announcement.
 * -DBROKEN=3: no fence between the sleeper's announcement and its look.
 * -DBROKEN=4: the sleeper does not watch deaths: a ringer dies between exchange and wake-up.
 */
#define RINGERS 2
#define CHANGES 2

byte world[RINGERS]         /* changes made, as others see it */
byte stored[RINGERS]        /* as the ringer sees it: what its store buffer holds */
bool dead[RINGERS]
bit asleep = 0
bool announced = false      /* asleep = 1 is in the sleeper's store buffer */
bool in_kernel = false
byte deaths = 0

proctype ringer(byte me) {
    bit saw;
    byte i;
    {
        for (i : 1 .. CHANGES) {
            stored[me] = i;
#if BROKEN != 1
            world[me] == stored[me];                   /* the fence */
#endif
            saw = asleep;
            if
            :: saw == 1 ->
                d_step { saw = asleep; asleep = 0; world[me] = stored[me] }   /* exchange */
                if
                :: saw == 1 -> in_kernel = false       /* futex wake */
                :: else -> skip
                fi
            :: else -> skip
            fi
        }
        world[me] == stored[me]
    } unless { dead[me] }
}

/* Drains the store buffers whenever it likes. */
proctype memory() {
    byte i;
end:
    do
    :: d_step { stored[0] != world[0] -> world[0] = stored[0] }
    :: d_step { stored[1] != world[1] -> world[1] = stored[1] }
    :: d_step { announced -> announced = false; asleep = 1 }
    od
}

#define OVER(r) (world[r] == CHANGES || dead[r])
#define READY (OVER(0) && OVER(1))

proctype sleeper() {
    byte known;
    byte first, second;
    do
    :: known = deaths;
        if
        :: READY -> break
        :: else
        fi;
        first = world[0];
        second = world[1];
        announced = true;
#if BROKEN != 3
        !announced;                                    /* the fence */
#endif
#if BROKEN != 2
        if
        :: READY -> break
        :: first != world[0] || second != world[1] -> goto again
        :: else
        fi;
#endif
        /* The kernel compares and sleeps in one step; each system call drains the store buffer. */
        !announced;
        atomic {
            if
#if BROKEN == 4
            :: asleep == 1 -> in_kernel = true
#else
            :: asleep == 1 && known == deaths -> in_kernel = true
#endif
            :: else -> goto again
            fi
        }
#if BROKEN == 4
        !in_kernel;
#else
        !in_kernel || known != deaths;
#endif
        in_kernel = false;
again:  skip
    od
}

/* Ringer 0 may die. */
proctype killer() {
    if
    :: d_step { dead[0] = true; deaths++ }
    :: skip
    fi
}

init {
    atomic {
        run ringer(0);
        run ringer(1);
        run memory();
        run killer();
        run sleeper()
    }
}
