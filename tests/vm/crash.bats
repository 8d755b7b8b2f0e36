#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# One partition breaks; the other and Linux go on, and it boots again.
# vm: --cpus 4
# limit: 200

load partition

setup_file() {
    load partition
    up good 2-2 128M
    up bad 3-3 128M
}

teardown_file() {
    load partition
    down bad
    down good
}

# breaks NUMBER REASON: noticed within 2 s, with the reason; the neighbour's
# program, started before, is right; the partition boots and runs again.
breaks() {
    local result
    result=$(mktemp)
    outrigger run good -- "$apps/threads" spin 4 >"$result" &
    # The kernel log's clock: a process of Linux that looks may be late itself.
    echo "crash.bats: $1 is asked for" >/dev/kmsg
    outrigger test bad "$1" 2>/dev/null &
    eventually 5 state_is bad crashed
    local us
    us=$(dmesg | tr -d '[]' | awk '/crash.bats: / { from = $1 } / bad: crashed: / { to = $1 }
        END { printf "%d", (to - from) * 1000000 }')
    echo "noticed after $us us: $(attr bad reason)"
    [ "$us" -gt 0 ] && [ "$us" -lt 2000000 ]
    [[ $(attr bad reason) == *$2* ]]
    wait
    [ "$(cat "$result")" = right ]
    run outrigger run bad -- /bin/busybox true
    [ "$status" -eq 125 ]
    outrigger boot bad --image "$image" --append test
    [ "$(outrigger run bad -- /bin/busybox echo again)" = again ]
}

@test "panic" { breaks 1 "a test asked for it"; }
@test "kernel stack overflow" { breaks 2 "stack overflow"; }
@test "wild pointer" { breaks 3 "page fault in the kernel"; }
@test "jump into data" { breaks 4 "page fault in the kernel"; }
@test "a CPU that hangs with interrupts off" { breaks 5 "does not answer"; }

@test "the log has a symbolised backtrace" {
    outrigger test bad 3 2>/dev/null || true
    eventually 3 state_is bad crashed
    outrigger log bad | grep -q 'misbehave+0x'
    outrigger log bad | grep -q 'worker_main+0x'
    outrigger boot bad --image "$image" --append test
}

@test "programs of a partition that crashes end, and their proxies with them" {
    outrigger run bad -- "$apps/threads" spin 100 >/dev/null 2>&1 &
    local pid=$!
    sleep 0.5
    outrigger test bad 1 2>/dev/null || true
    run wait $pid
    [ "$status" -ne 0 ]
    outrigger boot bad --image "$image" --append test
}
