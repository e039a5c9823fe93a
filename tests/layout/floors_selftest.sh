#!/bin/sh
# Shows floors.sh small trees with one fault each: a check that never fails checks nothing.
#
#   floors_selftest.sh <scratch directory>
set -eu
floors=$(dirname "$0")/floors.sh
case $floors in /*) ;; *) floors=$PWD/$floors ;; esac
rm -rf "$1" && mkdir -p "$1" && cd "$1"

bad=0

header() {
    mkdir -p "$(dirname "include/concur/$1")"
    shift_path=$1
    shift
    printf '#pragma once\n' >"include/concur/$shift_path"
    for line; do printf '%s\n' "$line" >>"include/concur/$shift_path"; done
}

house() {
    rm -rf include
    header ground.hpp '#include <vector>'
    header detail/sync/lock.hpp '#include <concur/ground.hpp>'
    header detail/alpha/room.hpp '#include <concur/detail/sync/lock.hpp>'
    header alpha.hpp '#include <concur/detail/alpha/room.hpp>' '#  include <concur/ground.hpp>  // why'
    header beta.hpp '#include <concur/ground.hpp>'
    header all.hpp '#include <concur/alpha.hpp>' '#include <concur/beta.hpp>'
    cat >include/concur/README.md <<'EOF'
# Plan
## Floor 0: ground
- `ground.hpp` stands on nothing
## Floor 1: machines
- `detail/sync/lock.hpp` a lock; see `ground.hpp`
## Floor 5: executors
- `detail/alpha/room.hpp` alpha's own
- `alpha.hpp` one executor
- `beta.hpp` another
## Roof
- `all.hpp` everything
EOF
}

expect() {
    want=$1
    text=$2
    code=0
    said=$(sh "$floors" "$PWD/include" 2>&1) || code=$?
    if [ "$want" = pass ] && [ $code -ne 0 ] || [ "$want" = fail ] && [ $code -ne 1 ]; then
        echo "expected to $want with '$text', but it exited with $code and said: $said"
        bad=1
    fi
    case $said in
    *"$text"*) ;;
    *) echo "expected '$text', but it said: $said" && bad=1 ;;
    esac
    [ "$want" = pass ] || [ "$(printf '%s\n' "$said" | wc -l)" -eq 1 ] ||
        { echo "expected one sentence, but it said: $said" && bad=1; }
}

house
expect pass '6 headers, each on its floor.'

house
header ground.hpp '#include <concur/detail/sync/lock.hpp>'
expect fail 'ground.hpp includes detail/sync/lock.hpp, which is listed below it'

house
header ground.hpp ' # include <concur/all.hpp>'
expect fail 'ground.hpp includes all.hpp, which is listed below it'

house
header beta.hpp '#include "ground.hpp"'
expect fail 'beta.hpp includes "ground.hpp" in quotes'

house
header beta.hpp '#include <concur/alpha.hpp>'
expect fail 'beta.hpp includes alpha.hpp, but executors are strangers'

house
header beta.hpp '#include <concur/detail/alpha/room.hpp>'
expect fail 'beta.hpp includes detail/alpha/room.hpp, but executors are strangers'

house
header extra.hpp
expect fail 'extra.hpp is not listed'

house
rm include/concur/beta.hpp
header all.hpp '#include <concur/alpha.hpp>'
expect fail 'lists beta.hpp, which does not exist'

house
header beta.hpp '#include <concur/gone.hpp>'
expect fail 'beta.hpp includes gone.hpp, which concur/README.md does not list'

house
# shellcheck disable=SC2016
printf '%s\n' '- `beta.hpp` again' >>include/concur/README.md
expect fail 'lists beta.hpp twice'

rm include/concur/README.md
expect fail 'There is no floor plan'

exit $bad
