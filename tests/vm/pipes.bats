#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Pipes, eventfds and epolls that the co-kernel serves itself, and polling them: the same as
# Linux's, whatever is done with them; and the calls that it does not delegate.
# vm: --cpus 4
# limit: 400
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

@test "errors, capacity, ends, numbers, flags" { same "$apps/files" pipe-errors pipe-capacity pipe-ends pipe-numbers pipe-flags; }
@test "many writers, much data, a tree of processes" { same "$apps/files" pipe-atomicity pipe-flow pipe-tree; }
@test "signals, deaths, close while a thread waits" { same "$apps/files" pipe-signals pipe-deaths pipe-kills pipe-closing; }
@test "exec, memory that is not there" { same "$apps/files" pipe-exec pipe-memory; }
@test "a pipe with bytes inside becomes Linux's" { same "$apps/files" pipe-remote pipe-rights; }
@test "and while others read and write it" { same "$apps/files" pipe-moving; }

@test "poll and select: what is ready, errors, times" { same "$apps/files" poll-states poll-errors poll-times; }
@test "poll and select: waiting, signals, many at once" { same "$apps/files" poll-waiting poll-signals poll-many poll-torture; }
@test "eventfds; sets that are not all local" { same "$apps/files" events poll-mixed; }

@test "epoll: what is told, errors, waiting" { same "$apps/files" epoll-states epoll-errors epoll-waiting; }
@test "epoll: several processes, sets that Linux gets, many threads" { same "$apps/files" epoll-fork epoll-remote epoll-torture; }

@test "bash: pipelines, substitution of processes, here documents" {
    same /bin/bash -c 'seq 2000 | sort -rn | head -n 3; cat <(echo one; echo two) <(seq 3)
        yes | head -n 2; echo ${PIPESTATUS[@]}; cat <<<here; x=$(seq 5 | tr "\n" ,); echo $x
        for i in 1 2 3; do seq $i; done | while read -r l; do echo "[$l]"; done; mkfifo /dev/shm/f.$$
        (echo named >/dev/shm/f.$$ &); cat /dev/shm/f.$$; rm /dev/shm/f.$$; true | false; echo $?
        head -c 300000 /dev/zero | tee >(wc -c) | wc -c; wait; coproc tr a-z A-Z; echo abc >&${COPROC[1]}
        exec {COPROC[1]}>&-; cat <&${COPROC[0]}'
}

@test "bytes through a local pipe are not delegated" {
    cat >/dev/shm/many.py <<'END'
import os
r, w = os.pipe()
for i in range(5000):
    os.write(w, b"x")
    os.read(r, 1)
END
    outrigger run --summary --json p -- python3 /dev/shm/many.py 2>/dev/shm/summary
    python3 - <<'END'
import json
s = json.load(open("/dev/shm/summary"))
calls = {c["call"]: c for c in s}
assert calls["write"]["calls"] >= 5000 and calls["write"]["delegated"] < 100, calls["write"]
END
}

@test "polling local descriptors is not delegated, nor are eventfds and epolls" {
    cat >/dev/shm/poll.py <<'END'
import os, select
r, w = os.pipe()
e = os.eventfd(0)
p = select.poll()
p.register(r, select.POLLIN)
p.register(e, select.POLLIN)
s = select.epoll()
s.register(r, select.EPOLLIN)
s.register(e, select.EPOLLIN | select.EPOLLET)
for i in range(2000):
    os.write(w, b"x")
    os.eventfd_write(e, 3)
    assert len(p.poll(1000)) == 2
    assert len(s.poll(1)) == 2
    assert select.select([r, e], [w], [], 1) == ([r, e], [w], [])
    assert os.read(r, 1) == b"x" and os.eventfd_read(e) == 3
    p.poll(0)
    s.poll(0)
END
    outrigger run --summary --json p -- python3 /dev/shm/poll.py 2>/dev/shm/summary
    python3 - <<'END'
import json
calls = {c["call"]: c for c in json.load(open("/dev/shm/summary"))}
for name in "read", "write", "poll":
    assert calls[name]["calls"] >= 4000 and calls[name]["delegated"] < 200, calls[name]
select = calls.get("select") or calls["pselect6"]
wait = calls.get("epoll_wait") or calls["epoll_pwait"]
assert wait["calls"] >= 4000 and wait["delegated"] < 100, wait
assert select["calls"] >= 2000 and select["delegated"] < 100, select
END
}

@test "nothing is left behind" {
    for i in 1 2 3; do outrigger run p -- "$apps/files" pipe-tree pipe-deaths pipe-remote >/dev/null 2>&1; done
    for i in 1 2 3; do outrigger run p -- "$apps/files" poll-waiting poll-torture poll-mixed epoll-remote epoll-torture >/dev/null 2>&1; done
    outrigger run p -- /bin/true
}
