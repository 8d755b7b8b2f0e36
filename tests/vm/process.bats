#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Programs of the distribution, dynamic ones and such that start others: same
# bytes and exit status as on Linux.
# vm: --cpus 4
# limit: 400

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

@test "dynamic programs" {
    same /bin/ls /etc
    same /usr/bin/sort -r /etc/passwd
    same /usr/bin/perl -e 'print join(",", map { $_ * 2 } 1 .. 10), "\n"'
}

@test "subshells, pipelines and exit statuses of a static shell" {
    same /bin/busybox sh -c 'echo a; (echo b; exit 3); echo $?; ls / | wc -l; false'
}

@test "bash: children, substitution, traps, background" {
    same /bin/bash -c 'for i in 1 2 3; do /bin/echo $i; done; x=$(tr a-z A-Z </etc/hostname); echo "$x"
        trap "echo got" USR1; kill -USR1 $$; (sleep 0.2; exit 7) & wait $!; echo $?'
    same /bin/bash -c 'tar cf - /etc/apt 2>/dev/null | gzip | zcat | wc -c'
}

@test "exec replaces the program, a killed one dies of its signal" {
    same /bin/sh -c 'exec /bin/echo replaced'
    same /bin/sh -c 'exec /no/such/file'
    same /bin/busybox sh -c 'kill -9 $$'
    same /bin/busybox sh -c 'kill -TERM $$'
}

@test "python: threads, fork, subprocess" {
    command -v python3 || skip "python3 is not installed"
    same python3 -c '
import os, subprocess, threading
l = []
t = [threading.Thread(target=l.append, args=(i,)) for i in range(20)]
[x.start() for x in t]; [x.join() for x in t]
print(sorted(l))
p = os.fork()
if p == 0: os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))
print(subprocess.run(["/bin/echo", "hi"], capture_output=True).stdout)'
}

@test "mappings of files, shared memory of all kinds" {
    mkdir -p /tmp/scratch
    same "$apps/maps" /tmp/scratch
    # On a file system that is not made of memory, too.
    same "$apps/maps" /var/tmp
}

@test "private mappings of files in the page cache: ends, holes, writes before the first touch" {
    same "$apps/maps" /dev/shm
    same python3 -c '
import hashlib, mmap, os
def look(name, m): print(name, len(m), hashlib.md5(m[:]).hexdigest())
for place in "/dev/shm", "/tmp":
    for size in 1, 4095, 4096, 4097, 70000, 1 << 20:
        with open(place + "/cached", "w+b") as f:
            f.write(bytes((i * 7 + i // 251) % 256 for i in range(size)))
            f.flush()
            look(place, mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE))
            m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE)
            os.pwrite(f.fileno(), b"written", size // 2)
            look("written", m)
            m[size // 3] = 1
            look("own", m)
            os.ftruncate(f.fileno(), size + 300000)
            os.pwrite(f.fileno(), b"behind a hole", size + 200000)
            look("hole", mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE))
            os.ftruncate(f.fileno(), size // 2 + 1)
            os.ftruncate(f.fileno(), size + 5000)
            look("cut", mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE))'
}

@test "a program is run again and is another one now" {
    # shellcheck disable=SC2016  # for the inner shell
    for place in /dev/shm /tmp; do
        same /bin/bash -c 'cd '$place'; cp /bin/true program; ./program; echo $?; ./program; echo $?
            cat /bin/false >program; ./program; echo $?; ./program; echo $?
            cp --remove-destination /bin/echo program; ./program an echo; cp program /tmp/other
            mv /tmp/other program; ./program still; : >program; ./program; echo $?; rm program'
    done
}

@test "a fork takes memory for what is written, not for what is there" {
    # 300 MiB in large pages, of which each side writes every tenth 4 KiB, in 512 MiB.
    run outrigger run p -- "$apps/scale" fork 300
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "Linux and a program write to one mapping; truncation and death end it well" {
    command -v python3 || skip "python3 is not installed"
    local map='
import mmap, os, sys
f = open("/dev/shm/both", "r+b")
m = mmap.mmap(f.fileno(), 16 * 4096)
me, other = int(sys.argv[1]), 1 - int(sys.argv[1])
for i in range(1, 101):
    if me == 0: m[0] = i
    while m[other * 4096] != i: pass
    m[me * 4096] = i
print("done", m[0], m[4096])'
    truncate -s 64K /dev/shm/both
    python3 -c "$map" 0 >/tmp/scratch/linux &
    [ "$(timeout 60 outrigger run p -- /usr/bin/python3 -c "$map" 1)" = "done 100 100" ]
    wait $!
    [ "$(cat /tmp/scratch/linux)" = "done 100 100" ]

    map='
import mmap
f = open("/dev/shm/both", "r+b")
m = mmap.mmap(f.fileno(), 16 * 4096)
m[5 * 4096] = 1
print("ready", flush=True)
while True: m[5 * 4096] = 1'
    outrigger run p -- /usr/bin/python3 -c "$map" >/tmp/scratch/ready &
    eventually 30 grep -q ready /tmp/scratch/ready
    truncate -s 0 /dev/shm/both
    local status=0
    wait $! || status=$?
    [ "$status" -eq 135 ]

    truncate -s 64K /dev/shm/both
    outrigger run p -- /usr/bin/python3 -c "$map" >/tmp/scratch/ready2 &
    eventually 30 grep -q ready /tmp/scratch/ready2
    kill -KILL $!
    eventually 5 contexts_are p 0
    rm /dev/shm/both
    [ "$(attr p state)" = running ]
}

@test "what would bind the proxy that makes the calls is refused" {
    command -v python3 || skip "python3 is not installed"
    [ "$(outrigger run p -- /usr/bin/python3 -c '
import ctypes
c = ctypes.CDLL(None, use_errno=True)
print([(c.prctl(o, a, 0, 0, 0), ctypes.get_errno()) for o, a in ((22, 1), (26, 2), (35, 1), (59, 1), (65, 1))])
print(c.prctl(15, b"name", 0, 0, 0), open("/proc/self/comm").read().strip())')" = "[(-1, 22), (-1, 22), (-1, 1), (-1, 22), (-1, 22)]
0 name" ]
}

@test "a child with namespaces of its own is refused, not made without them" {
    command -v python3 || skip "python3 is not installed"
    [ "$(outrigger run p -- /usr/bin/python3 -c '
import ctypes, os
c = ctypes.CDLL(None, use_errno=True)
def clone(flags):
    pid = c.syscall(56, flags | 17, 0, 0, 0, 0)
    if not pid: os._exit(0)
    return ctypes.get_errno() if pid < 0 else os.waitpid(pid, 0)[1]
# None, CLONE_IO; CLONE_NEWPID, CLONE_NEWUSER, CLONE_FILES, CLONE_PARENT.
print([clone(f) for f in (0, 0x80000000, 0x20000000, 0x10000000, 0x400, 0x8000)])')" = "[0, 0, 22, 22, 22, 22]" ]
}

@test "nothing is left behind" {
    eventually 5 contexts_are p 0
    eventually 5 processes_are p 0
    [ "$(attr p threads)" = 0 ]
}
