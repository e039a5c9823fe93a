# (Named so that it does not hide the module.) The problems for Python's asyncio: in_python.py <problem> <items>; prints nanoseconds per item.
import asyncio
import sys
import threading
import time


async def nothing():
    pass


async def one():
    return 1


async def spawn(n):
    await asyncio.gather(*[asyncio.create_task(nothing()) for _ in range(n)])


async def child(n):
    total = 0
    for _ in range(n):
        total += await one()
    assert total == n


async def sleepers(n):
    async def sleeper():
        await asyncio.sleep(0.05)

    await asyncio.gather(*[sleeper() for _ in range(n)])


async def turns(n):
    async def give_way():
        for _ in range(n // 100):
            await asyncio.sleep(0)

    await asyncio.gather(*[give_way() for _ in range(100)])


def outside(n):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    begin = time.perf_counter()
    futures = [asyncio.run_coroutine_threadsafe(nothing(), loop) for _ in range(n)]
    for future in futures:
        future.result()
    wall = time.perf_counter() - begin
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    return wall


problem, items = sys.argv[1], int(sys.argv[2])
if problem == "outside":
    seconds = outside(items)
else:
    start = time.perf_counter()
    asyncio.run({"spawn": spawn, "child": child, "sleepers": sleepers, "turns": turns}[problem](items))
    seconds = time.perf_counter() - start
print(seconds * 1e9 / items)
