#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Pairs of sockets and timers that the co-kernel serves itself: the same as Linux's, the former to
# the byte at which they are full; and the calls that it does not delegate.
# vm: --cpus 4
# limit: 300
# seldom: 6.1

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    load partition
    up p 2-3 512M
}

teardown_file() {
    load partition
    down p
}

@test "errors, how much goes in" { same "$apps/files" socket-errors socket-capacity; }
@test "shutdown, close, fork, exec, numbers" { same "$apps/files" socket-ends; }
@test "poll and epoll of them, waiting" { same "$apps/files" socket-polls socket-waits; }
@test "with bytes inside they become Linux's" { same "$apps/files" socket-remote; }
@test "much through them, and while others use them they become Linux's" { same "$apps/files" socket-flow; }

@test "of a process with one end they become Linux's, too" { same "$apps/files" socket-parted; }
@test "descriptors that are taken by pidfd_getfd" { same "$apps/files" fds-taken; }

@test "timers: what they count, waiting, Linux's" { same "$apps/files" timer-states timer-waits timer-remote; }
@test "timers while Linux's clock is not the TSC" {
    local clock=/sys/devices/system/clocksource/clocksource0
    grep acpi_pm $clock/available_clocksource
    same "$apps/files" timer-clock
    grep tsc $clock/current_clocksource
}

@test "python: socketpair, asyncio, multiprocessing" {
    cat >/dev/shm/pairs.py <<'END2'
import asyncio, multiprocessing, socket, threading
a, b = socket.socketpair()
t = threading.Thread(target=lambda: [b.sendall(b.recv(100)) for i in range(50)])
t.start()
for i in range(50):
    a.sendall(b"%d" % i)
    assert a.recv(100) == b"%d" % i
t.join()
b.close()
print(a.recv(1), a.getsockname(), a.family, a.type)
a, b = socket.socketpair()
a.settimeout(0.05)
try:
    a.recv(1)
except TimeoutError as e:
    print(e)
async def echo():
    x, y = socket.socketpair()
    rx, wx = await asyncio.open_connection(sock=x)
    ry, wy = await asyncio.open_connection(sock=y)
    for i in range(100):
        wx.write(b"line %d\n" % i)
        wy.write(b"<" + await ry.readline())
        assert await rx.readline() == b"<line %d\n" % i
    wx.close()
    print(await ry.read())
    wy.close()
asyncio.run(echo())
def child(c):
    while (m := c.recv()) is not None:
        c.send(m * 2)
c, d = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=child, args=(d,))
p.start()
for i in range(20):
    c.send([i])
    assert c.recv() == [i, i]
c.send(None)
p.join()
print(p.exitcode)
END2
    same python3 /dev/shm/pairs.py
}

@test "bytes through a local pair are not delegated" {
    cat >/dev/shm/pair.py <<'END2'
import select, socket
a, b = socket.socketpair()
a.setblocking(False)
p = select.poll()
p.register(a, select.POLLIN)
for i in range(2000):
    b.send(b"x")
    assert p.poll(1000) and a.recv(10) == b"x"
    a.sendmsg([b"y", b"z"])
    assert b.recvmsg(10, 100)[0] == b"yz"
END2
    outrigger run --summary --json p -- python3 /dev/shm/pair.py 2>/dev/shm/summary
    python3 - <<'END2'
import json
calls = {c["call"]: c for c in json.load(open("/dev/shm/summary"))}
for name in "sendto", "recvfrom", "sendmsg", "recvmsg", "poll":
    assert calls[name]["calls"] >= 2000 and calls[name]["delegated"] < 20, calls[name]
END2
}

@test "nor those of two processes with an end each" {
    cat >/dev/shm/ends.py <<'END2'
import os, socket
a, b = socket.socketpair()
if os.fork() == 0:
    a.close()
    while b.send(b.recv(10)):
        pass
    os._exit(0)
b.close()
for i in range(400):
    a.send(b"x")
    assert a.recv(10) == b"x"
a.shutdown(socket.SHUT_WR)
assert a.recv(10) == b""
os.wait()
END2
    same python3 /dev/shm/ends.py
    outrigger run --summary --json p -- python3 /dev/shm/ends.py 2>/dev/shm/summary
    python3 - <<'END2'
import json
calls = {c["call"]: c for c in json.load(open("/dev/shm/summary"))}
for name in "sendto", "recvfrom":
    assert calls[name]["calls"] >= 400 and calls[name]["delegated"] < 20, calls[name]
END2
}

@test "nothing is left behind" {
    sockets() { sed -n 's/^sockets: used //p' /proc/net/sockstat; }
    local before=$(sockets)
    for i in 1 2; do outrigger run p -- "$apps/files" socket-ends socket-remote socket-flow socket-parted >/dev/null 2>&1; done
    few() { [ "$(sockets)" -lt $((before + 6)) ]; }
    eventually 5 few
    outrigger run p -- /bin/true
}
