#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Programs on a co-kernel, beside the same programs on Linux.
# vm: --cpus 4 --nvme 64M
# limit: 450
# log-allow: (traps: )?fault\[[0-9]+\]

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    load partition
    up p 2-3 256M
    modprobe nvme
    for _ in $(seq 50); do [ -b /dev/nvme0n1 ] && break; sleep 0.1; done
}

teardown_file() {
    load partition
    down p
}

@test "a static program of the distribution prints and exits" {
    same /bin/busybox echo hello world
    same /bin/busybox sha256sum /bin/busybox
    same /bin/busybox false
    same /bin/busybox ls -la /etc
    same /bin/busybox awk 'BEGIN { for (i = 0; i < 100000; i++) s += i; print s }'
}

@test "more than 100 delegated calls return what Linux returns" {
    mkdir -p /tmp/scratch
    same "$apps/calls" /tmp/scratch
    run "$apps/calls" /tmp/scratch
    [ "$status" -eq 42 ]
    [ "$(echo "$output" | sed 's/[ (=:].*//' | sort -u | wc -l)" -gt 100 ]
}

@test "exceptions end a program by Linux's signals" {
    local how
    for how in null write exec divide opcode trap stack abort kernel noncanonical; do
        same "$apps/fault" "$how"
    done
    same "$apps/fault" exit 255
    same "$apps/fault" exit 256
    state_is p running
}

@test "signal handlers run as they do on Linux" {
    same "$apps/signals"
}

@test "masks and signals between threads, of which Linux is told late or not at all" {
    same "$apps/sigmasks" late threads others actions exec waits suspend death
}

@test "signal frames that cannot be read or written" {
    same "$apps/frames"
    outrigger run p -- "$apps/frames" race || true
    state_is p running
}

@test "threads, mutexes and barriers" {
    same "$apps/threads" sum 2
    same "$apps/threads" sum 40
    same "$apps/threads" spin 1
    same "$apps/threads" share
    same "$apps/threads" pin 3
}

@test "the identifier of a thread that ended unseen is not used again at once" {
    same "$apps/threads" tids 16
}

@test "64 threads block in delegated reads at once, none starves another" {
    same "$apps/threads" block 64
}

@test "buffers that Linux pins: O_DIRECT and vmsplice" {
    same "$apps/direct" /dev/nvme0n1
}

@test "standard input, environment and working directory are the caller's" {
    [ "$(printf 'a\nb\n' | outrigger run p -- /bin/busybox wc -l)" = 2 ]
    outrigger run p -e COLOUR=blue -- /bin/busybox env | grep -qx COLOUR=blue
    [ "$(cd /usr && outrigger run p -- /bin/busybox pwd)" = /usr ]
    [ "$(outrigger run p -- /bin/busybox cat /dev/stdin </etc/hostname)" = "$(cat /etc/hostname)" ]
}

@test "what cannot run is 126 or 127 and says why" {
    run -127 outrigger run p -- /no/such/program
    [[ $output == *"/no/such/program"* ]]
    run outrigger run p -- /etc/passwd
    [ "$status" -eq 126 ]
    run outrigger run nosuch -- /bin/busybox true
    [ "$status" -eq 125 ]
    [[ $output == *nosuch* ]]
}

@test "SIGTERM and SIGINT end the program as they end one on Linux" {
    local sig
    for sig in TERM INT HUP; do
        run timeout -s $sig 1 outrigger run p -- /bin/busybox sleep 100
        [ "$status" -eq 124 ]
    done
    eventually 5 processes_are p 0
}

@test "a killed proxy takes the program with it and leaks nothing" {
    local free i
    eventually 5 contexts_are p 0
    sleep 1.2 # memory_free is published once a second
    free=$(attr p memory_free)
    for i in $(seq 10); do
        outrigger run p -- "$apps/threads" spin 100 >/dev/null 2>&1 &
        sleep 0.3
        kill -KILL $!
        wait $! || true
    done
    eventually 5 processes_are p 0
    eventually 5 contexts_are p 0
    sleep 1.2
    # Caches of stacks and tables may keep a little, once.
    [ "$(attr p memory_free)" -ge $((free - (1 << 20))) ]
}

@test "a stopped proxy stops the program, SIGCONT goes on" {
    outrigger run p -- "$apps/threads" spin 100 >/dev/null 2>&1 &
    local pid=$! a b c
    calls() { cat $class/p/cpu*/syscalls | awk '{ s += $1 } END { print s }'; }
    sleep 1
    kill -STOP $pid
    sleep 1
    a=$(calls)
    sleep 1
    b=$(calls)
    kill -CONT $pid
    sleep 1
    c=$(calls)
    kill -KILL $pid
    echo "$a $b $c"
    [ "$a" -eq "$b" ]
    [ "$c" -gt "$b" ]
}

@test "100 runs leave memory and contexts as they were" {
    local i free
    eventually 5 contexts_are p 0
    sleep 1.2
    free=$(attr p memory_free)
    for i in $(seq 100); do
        outrigger run p -- /bin/busybox true
    done
    eventually 5 contexts_are p 0
    sleep 1.2
    [ "$(attr p memory_free)" -ge $((free - (256 << 10))) ]
}

# Without preemption at its wake-up it would wait for the other's slice of 4 ms.
@test "a thread that waits for calls is not held up by one that computes" {
    local p50 khz
    head -c 65536 /dev/zero >/dev/shm/busy
    outrigger run p -- "$apps/bench" pread-busy 200 /dev/shm/busy | tee /dev/shm/busy.json
    p50=$(sed -E 's/.*"p50":([0-9]+).*/\1/' /dev/shm/busy.json)
    khz=$(dmesg | sed -nE 's/.*tsc: Detected ([0-9]+)\.[0-9]* MHz.*/\1000/p' | head -n 1)
    [ "$p50" -lt $((khz * 2)) ]
}

@test "a busy core with one thread takes no timer interrupt" {
    local before after
    outrigger run p -- /bin/busybox true
    before=$(cat $class/p/cpu*/timer | awk '{ s += $1 } END { print s }')
    outrigger run p -- "$apps/bench" loop 500 >/dev/null
    after=$(cat $class/p/cpu*/timer | awk '{ s += $1 } END { print s }')
    echo "$before $after"
    [ "$after" -eq "$before" ]
}

# Each clock shows on the co-kernel what lies between two looks from Linux.
clocks_agree() {
    local before here after
    before=$("$apps/clocks") && here=$(outrigger run p -- "$apps/clocks") && after=$("$apps/clocks") || return 1
    paste -d ' ' <(echo "$before") <(echo "$here") <(echo "$after") >"$BATS_TEST_TMPDIR/clocks"
    cat "$BATS_TEST_TMPDIR/clocks"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/clocks")" -eq 23 ]
    while read -r id how low id2 how2 now id3 how3 high; do
        [ "$id $how" = "$id2 $how2" ] && [ "$id $how" = "$id3 $how3" ] &&
            [ "$low" -le "$now" ] && [ "$now" -le "$high" ] || return 1
    done <"$BATS_TEST_TMPDIR/clocks"
}

@test "clocks agree with Linux's" {
    clocks_agree
    # The same after Linux's clock was set, and while it is slewed and TAI is ahead.
    date -s "+1 hour" >/dev/null
    clocks_agree
    python3 -c 'import ctypes, struct
timex = bytearray(208)
struct.pack_into("<I", timex, 0, 0x0002 | 0x0080 | 0x4000)     # ADJ_FREQUENCY, ADJ_TAI, ADJ_TICK
struct.pack_into("<q", timex, 16, 500 << 16)
struct.pack_into("<q", timex, 48, 37)
struct.pack_into("<q", timex, 88, 11000)
c = ctypes.CDLL(None, use_errno=True)
raise SystemExit(c.adjtimex((ctypes.c_char * 208).from_buffer(timex)) < 0)'
    sleep 1
    clocks_agree
    date -s "-1 hour" >/dev/null
}
