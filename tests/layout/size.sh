#!/bin/sh
# What including thread_pool.hpp costs, and what may not be included where.
#
#   size.sh <include directory> [g++]
set -eu
cd "$1"
compiler=${2:-}
limit=60000
[ -f concur/thread_pool.hpp ] || { echo 'There is no concur/thread_pool.hpp.' && exit 1; }

{
    if [ -n "$compiler" ]; then
        text=$(echo '#include <concur/thread_pool.hpp>' | "$compiler" -std=c++20 -I. -E -P -x c++ - | wc -l)
        echo "thread_pool.hpp: $text preprocessed lines of $limit" >&2
        [ "$text" -le $limit ] ||
            echo "thread_pool.hpp has $text preprocessed lines; the limit is $limit."
    fi

    # concur's own headers behind thread_pool.hpp, itself included.
    reached='' waiting='concur/thread_pool.hpp'
    while [ -n "$waiting" ]; do
        next=''
        for header in $waiting; do
            case " $reached " in *" $header "*) continue ;; esac
            reached="$reached $header"
            next="$next $(sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\(concur\/[^>]*\)>.*/\1/p' "$header")"
        done
        waiting=$(echo "$next" | xargs)
    done

    for header in $reached; do
        sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$header" | while read -r other; do
            case $other in
            boost/* | fmt/*)
                echo "${header#concur/} includes <$other>, but thread_pool.hpp needs the standard library only." ;;
            functional | ranges | iostream | regex | filesystem)
                echo "${header#concur/} includes <$other>, which is too dear for thread_pool.hpp." ;;
            esac
        done
    done

    # What only Linux has stands in few places: detail/base/linux*.hpp and the machines between processes.
    find concur -name '*.hpp' ! -path 'concur/detail/base/linux*.hpp' ! -path 'concur/detail/ipc/*' | while read -r header; do
        sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$header" | while read -r other; do
            case $other in
            linux/* | sys/* | asm/* | pthread.h | sched.h | unistd.h | poll.h | fcntl.h | signal.h)
                echo "${header#concur/} includes <$other>; only detail/base/linux*.hpp and detail/ipc/ may." ;;
            esac
        done
    done
} | { ! grep .; }
