#!/bin/sh
# Compiles one misuse and looks at the first error: it must say what the file expects.
#
#   check.sh <source> <include directory> <compiler>
#
# In the source:
#   // expect: <text>            the first error line contains the text (each text, if several)
#   // expect <compiler>: <text>  only for compilers whose name starts so: g++, clang++
#   // expect-none               it compiles: the control that shows that the others fail rightly
set -eu
source=$1
include=$2
compiler=$3

code=0
output=$(LC_ALL=C "$compiler" -std=c++20 -I"$include" -S -o /dev/null "$source" 2>&1) || code=$?

if grep -q '^// expect-none$' "$source"; then
    [ $code -eq 0 ] && exit 0
    printf '%s\n\nShould compile, but does not.\n' "$output"
    exit 1
fi

if [ $code -eq 0 ]; then
    echo "Compiles, but should not."
    exit 1
fi

first=$(printf '%s\n' "$output" | grep -m 1 -E ': (fatal |internal compiler )?error: ' || true)
texts=$(sed -n -e 's/^\/\/ expect: //p' "$source" &&
    sed -n 's/^\/\/ expect \([^:]*\): /\1 /p' "$source" | while read -r name text; do
        case $(basename "$compiler") in "$name"*) printf '%s\n' "$text" ;; esac
    done)
[ -n "$texts" ] || { echo "No '// expect: <text>' line for $compiler." && exit 1; }

printf '%s\n' "$texts" | while IFS= read -r text; do
    case $first in
    *"$text"*) ;;
    *) printf 'The first error should say: %s\nbut the first error is:     %s\n\n%s\n' "$text" "$first" "$output" && exit 1 ;;
    esac
done
