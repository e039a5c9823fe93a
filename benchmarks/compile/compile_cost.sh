#!/bin/sh
# What including concur costs: CPU seconds (user + system) of compiling one small user of each library.
# Interleaved like every other benchmark here; one warm-up round, then the median and the least of the others.
#
#   benchmarks/compile/compile_cost.sh [directory with BS_thread_pool.hpp]
#
# CXX, CXXFLAGS (default -std=c++20 -O2) and ROUNDS (default 5) come from the environment.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
bs_directory=${1:+$(cd "$1" && pwd)}
rounds=${ROUNDS:-5}
compiler="${CXX:-g++} ${CXXFLAGS:--std=c++20 -O2} -I$root/include"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

echo 'int main() {}' >nothing.cpp
cat >headers.cpp <<'END'
#include <future>
#include <thread>
int main() {}
END
cat >std_async.cpp <<'END'
#include <future>
int main() { return std::async(std::launch::async, [] { return 0; }).get(); }
END
cat >concur.cpp <<'END'
#include <concur/thread_pool.hpp>
int main() {
    concur::thread_pool pool{{.workers = 2}};
    return pool.submit([] { return 0; }).get();
}
END
cat >asio.cpp <<'END'
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
int main() {
    boost::asio::thread_pool pool{2};
    return boost::asio::post(pool, boost::asio::use_future([] { return 0; })).get();
}
END
cat >concur_loop.cpp <<'END'
#include <concur/event_loop.hpp>
concur::task<int> one() { co_return 0; }
int main() {
    concur::event_loop loop;
    return loop.submit(one).get();
}
END
cat >asio_loop.cpp <<'END'
#include <boost/asio.hpp>
boost::asio::awaitable<int> one() { co_return 0; }
int main() {
    boost::asio::io_context loop(1);
    auto result = boost::asio::co_spawn(loop, one(), boost::asio::use_future);
    loop.run();
    return result.get();
}
END
users='nothing headers std_async concur'
if echo '#include <boost/asio/thread_pool.hpp>' | $compiler -x c++ -E - >/dev/null 2>&1; then
    users="$users asio asio_loop concur_loop"
fi
if [ -n "$bs_directory" ]; then
    cat >bs.cpp <<'END'
#include <BS_thread_pool.hpp>
int main() {
    BS::thread_pool pool{2};
    return pool.submit_task([] { return 0; }).get();
}
END
    compiler="$compiler -isystem $bs_directory"
    users="$users bs"
fi

# The second line of `times` is what the children of this subshell used: "0m1.230s 0m0.120s".
cpu_seconds() {
    (
        $compiler -c "$1.cpp" -o "$1.o" >&2
        times
    ) | awk 'NR == 2 { split($1, u, "[ms]"); split($2, s, "[ms]"); print 60 * u[1] + u[2] + 60 * s[1] + s[2] }'
}

round=0
while [ "$round" -le "$rounds" ]; do
    for user in $users; do
        taken=$(cpu_seconds "$user")
        if [ -z "$taken" ] || [ ! -s "$user.o" ]; then
            echo "$user does not compile" >&2
            exit 1
        fi
        [ "$round" -eq 0 ] || echo "$taken" >>"$user.times"
        rm -f "$user.o"
    done
    # The next round starts with another one.
    users="${users#* } ${users%% *}"
    round=$((round + 1))
done

median() { sort -n "$1.times" | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'; }

base=$(median headers)
echo "# $($compiler --version | head -n 1); $compiler"
printf '%-12s %10s %10s %22s %10s\n' 'user of' 'median s' 'least s' '/ <future>+<thread>' 'lines'
for user in $users; do
    # Without line markers and blank lines: what the compiler has to read.
    lines=$($compiler -E -P "$user.cpp" | grep -c '[^[:space:]]')
    echo "$user $(median "$user") $(sort -n "$user.times" | head -n 1) $base $lines"
done | sort -k 2 -n | awk '{ printf "%-12s %10.2f %10.2f %22.2f %10d\n", $1, $2, $3, $2 / $4, $5 }'

lines=$($compiler -E concur.cpp | wc -l)
awk -v y="$lines" 'BEGIN { printf "\nbar: preprocessed lines of concur (with line markers) required <= 60000, measured %d: %s\n", y, y <= 60000 ? "met" : "missed" }'
if [ -n "$bs_directory" ]; then
    awk -v a="$(median concur)" -v b="$(median bs)" 'BEGIN { printf "bar: compile time concur / BS required <= 1.00, measured %.2f: %s\n", a / b, a <= b ? "met" : "missed" }'
fi
if [ -s asio_loop.times ]; then
    awk -v a="$(median concur_loop)" -v b="$(median asio_loop)" 'BEGIN { printf "bar: compile time event_loop / Asio required <= 1.10, measured %.2f: %s\n", a / b, a <= 1.1 * b ? "met" : "missed" }'
fi
