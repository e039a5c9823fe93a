#!/bin/sh
# Checks a model exhaustively with spin. A model must hold as it is, and its broken variants must
# fail, so that we know that it can.
#
#   run.sh <model.pml> <empty directory> [<broken variant>...]      77: not all tools are here
set -eu
model=$1
directory=$2
shift 2

command -v spin >/dev/null || { echo 'skipped: install spin (Debian: apt-get install spin)' && exit 77; }
compiler=${CC:-cc}
command -v "$compiler" >/dev/null || { echo "skipped: install a C compiler" && exit 77; }

# Says "holds" or "fails"; everything else is an error.
verdict() {
    rm -rf "$directory"
    mkdir -p "$directory"
    cp "$model" "$directory/model.pml"
    (
        cd "$directory"
        # shellcheck disable=SC2086
        spin -a $1 model.pml >spin.log 2>&1 || { cat spin.log >&2 && exit 1; }
        # pan returns the same whether errors were found or not: read what it says.
        "$compiler" -O1 -w -DSAFETY -o pan pan.c
        ./pan -m1000000 >pan.log
        if grep -q 'max search depth too small\|out of memory' pan.log; then
            cat pan.log >&2
            exit 1
        fi
        case $(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log) in
        0) echo holds ;;
        [1-9]*) echo fails ;;
        *) cat pan.log >&2 && exit 1 ;;
        esac
    )
}

result=$(verdict '')
if [ "$result" != holds ]; then
    cat "$directory/pan.log"
    echo "$model: the protocol is wrong; this is how:"
    cd "$directory" && spin -t -p -g model.pml | tail -n 200
    exit 1
fi
grep 'states, stored' "$directory/pan.log"
for broken; do
    [ "$(verdict "-D$broken")" = fails ] || { echo "$model holds also with -D$broken" && exit 1; }
    echo "-D$broken fails, as it must"
done
