#!/bin/sh
# Shows each check something right and something wrong: a check that never fails checks nothing.
# (floors.sh has a test of its own.)
#
#   checks_selftest.sh <scratch directory>
set -eu
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$1" && mkdir -p "$1" && cd "$1"
bad=0

# expect <pass|fail> <text> <command...>: its outcome, and a text that it must print
expect() {
    want=$1
    text=$2
    shift 2
    outcome=pass
    said=$("$@" 2>&1) || outcome=fail
    case $said in *"$text"*) ;; *) outcome="$outcome without '$text'" ;; esac
    [ "$outcome" = "$want" ] || { echo "$*: expected $want, got $outcome: $said" && bad=1; }
}

mkdir orders && cd orders
orders() { expect "$1" "$2" sh "$here/orders.sh" .; }
echo 'x.load(std::memory_order_seq_cst);  // a memory_order_relaxed would do harm' >a.hpp
orders pass ''
echo 'x.load(std::memory_order_relaxed);  // [count] only a statistic' >a.hpp
orders pass ''
printf '%s\n' '// [park] pairs with unpark()' 'x.load(' '  y,' '  std::memory_order_acquire);' >a.hpp
orders pass ''
printf '%s\n' '// [park] pairs with unpark()' 'x' '  .load(' '  y,' '  std::memory_order_acquire);' >a.hpp
orders fail 'a.hpp:5 uses a weak memory order'
echo 'int y[i] = x.load(std::memory_order::acquire);' >a.hpp
orders fail 'a.hpp:1 uses a weak memory order'
cd ..

mkdir length && cd length
yes '' | head -n 500 >a.hpp
expect pass '' sh "$here/file_length.sh" .
echo >>a.hpp
expect fail 'a.hpp has 501 lines' sh "$here/file_length.sh" .
cd ..

mkdir -p size/concur/detail/base && cd size
size() { expect "$1" "$2" sh "$here/size.sh" .; }
echo '#include <concur/b.hpp>' >concur/thread_pool.hpp
echo '#include <sched.h>' >concur/detail/base/linux.hpp
echo '#include <atomic>' >concur/b.hpp
echo '#include <functional>' >concur/other.hpp
size pass ''
echo '#include <functional>' >concur/b.hpp
size fail 'b.hpp includes <functional>'
echo ' #  include <boost/asio.hpp>' >concur/b.hpp
size fail 'b.hpp includes <boost/asio.hpp>'
echo '#include <atomic>' >concur/b.hpp
echo '#include <sys/syscall.h>' >concur/other.hpp
size fail 'other.hpp includes <sys/syscall.h>'
cd ..

mkdir output && cd output
output() { expect "$1" "$2" sh "$here/output.sh" example.cpp printf '%b' "$3"; }
printf '%s\n' 'int main() {}' '' '// Output:' '// a[1] = ~ ms (x*y)' '//' '//   done' >example.cpp
output pass '' 'a[1] = 12.5 ms (x*y)\n\n  done\n'
output fail 'line 1' 'a[1] = 12 5 ms (x*y)\n\n  done\n'
output fail 'line 1' 'a1 = 12 ms (xy)\n\n  done\n'
output fail '(nothing more)' 'a[1] = 1 ms (x*y)\n\n  done\nmore\n'
output fail 'ends before' 'a[1] = 1 ms (x*y)\n'
expect fail 'false exited with 1' sh "$here/output.sh" example.cpp false
echo 'int main() {}' >example.cpp
output pass '' 'anything\n'
cd ..

mkdir -p snippets/examples snippets/docs && cd snippets
snippets() { expect "$1" "$2" sh "$here/snippets.sh" .; }
printf '%s\n' 'int main() {' '    int x = 1;' '    return x;' '}' >examples/a.cpp
printf '%s\n' '```cpp' 'int x = 1;' 'return x;' '```' '```sh' 'no' '```' >README.md
snippets pass '1 snippets'
printf '%s\n' '- a list' '  ```cpp' '  return x' '  ```' >docs/page.md
snippets fail 'docs/page.md:2 shows code'
cd ..

mkdir -p links/docs && cd links
links() { expect "$1" "$2" sh "$here/links.sh" .; }
echo 'a' >docs/b.md
printf '%s\n' '[b](docs/b.md#top) [c](https://example.org/) [d](#here) `[f](no)`' '```' '[g](no)' '```' >a.md
links pass ''
echo '[b](docs/b.md), [c](docs/c.md)' >a.md
links fail 'a.md:1 links to docs/c.md'
cd ..

mkdir -p coroutines && cd coroutines
coroutines() { expect "$1" "$2" sh "$here/coroutines.sh" .; }
printf '%s\n' 'int a = co_await f(x[i], [&] { return 1; });' 'auto g = [x] { co_await h([] {}); };' >a.cpp
coroutines pass ''
echo 'co_await f([x] { return x; });' >b.cpp
coroutines fail 'b.cpp:1: a lambda with captures'
printf '%s\n' 'co_return co_await' '    f(A{1});' >b.cpp
coroutines fail 'b.cpp:1: a temporary made with braces'
cd ..

exit $bad
