#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# CPUs and memory come and go under a program that runs.
# vm: --cpus 4 --memory 6G
# limit: 300

load partition

rounds=${OTR_LIVE_ROUNDS:-4}

setup() {
    up p 2-2 256M
}

teardown() {
    down p
}

@test "a CPU comes and goes under load" {
    outrigger run p -- "$apps/threads" spin $((rounds * 2)) >/tmp/result &
    local i
    for i in $(seq "$rounds"); do
        outrigger cpu add p 3
        [ "$(attr p cpus)" = 2-3 ]
        sleep 0.3
        outrigger cpu remove p 3
        [ "$(cat /sys/devices/system/cpu/cpu3/online)" = 1 ]
    done
    wait
    [ "$(cat /tmp/result)" = right ]
}

@test "threads bound to a CPU that leaves go on elsewhere" {
    outrigger cpu add p 3
    outrigger run p -- "$apps/threads" pin 6 >/tmp/result &
    local i
    for i in 1 2; do
        sleep 1.5
        outrigger cpu remove p 3
        sleep 0.5
        outrigger cpu add p 3
    done
    wait
    [ "$(cat /tmp/result)" = right ]
    outrigger cpu remove p 3
}

@test "memory comes and goes under load, the program's pages move" {
    # The program takes memory and gives it back all the time.
    outrigger run p -- "$apps/memory" $((rounds * 2)) 160 >/tmp/result &
    local i total
    total=$(attr p memory_total)
    for i in $(seq "$rounds"); do
        outrigger memory add p 128M
        [ "$(attr p memory_total)" -eq $((total + (128 << 20))) ]
        sleep 0.5
        outrigger memory remove p 128M || { outrigger log p | tail -n 3; false; }
        [ "$(attr p memory_total)" -eq "$total" ]
    done
    wait
    [ "$(cat /tmp/result)" = right ]
}

@test "pages of files are there once for all, and give way" {
    # So many times 50 MiB are more than there is; then what was kept lies in memory that goes.
    outrigger memory add p 128M
    head -c 50M /dev/urandom >/dev/shm/large
    run outrigger run p -- /usr/bin/python3 -c 'import mmap, sys
f = open("/dev/shm/large", "rb")
maps = [mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) for i in range(int(sys.argv[1]))]
print(len({sum(m[i] for i in range(0, len(m), 4096)) for m in maps}))' "$(($(attr p memory_total) / (50 << 20) + 2))"
    echo "$output"
    [ "$output" = 1 ]
    outrigger memory remove p 128M || { outrigger log p | tail -n 3; false; }
    local total
    total=$(attr p memory_total)
    # All that is left, but for a tenth and what the kernel and python have.
    run outrigger run p -- /usr/bin/python3 -c 'import mmap, sys
f = open("/dev/shm/large", "rb")
m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
sum(m[i] for i in range(0, len(m), 4096))
m.close()
b = bytearray(int(sys.argv[1]) // 10 * 9 - (24 << 20))
print("had it")' "$total"
    echo "$output"
    [ "$output" = "had it" ]
    rm /dev/shm/large
    state_is p running
}

@test "the first CPU may leave and another one come" {
    outrigger cpu add p 3,
    outrigger cpu remove p 2,
    outrigger cpu add p 1,
    [ "$(attr p cpus)" = "1,3" ]
    [ "$(outrigger run p -- "$apps/threads" sum 4)" = 6000 ]
    state_is p running
}

@test "a call that takes seconds in the kernel is no hang" {
    outrigger memory add p 3G
    # MADV_NOHUGEPAGE, then MADV_POPULATE_WRITE of it all.
    local populate='import mmap, time
m = mmap.mmap(-1, 2900 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m.madvise(15)
print("begins", flush=True)
before = time.monotonic_ns()
m.madvise(23)
print(f"done {(time.monotonic_ns() - before) // 1000000}")
m.close()'
    run outrigger run p -- python3 -c "$populate"
    echo "$output"
    [[ "${lines[1]}" = done* ]]
    state_is p running
    # The memory of the first is taken anew; whoever is killed meanwhile ends at once: here
    # long before the call would have.
    local whole=${lines[1]#done } from
    outrigger run p -- python3 -c "$populate" >/tmp/populate &
    eventually 20 grep -q begins /tmp/populate
    from=$(date +%s%3N)
    kill -KILL $!
    until processes_are p 0; do
        sleep 0.05
        echo "killed $(($(date +%s%3N) - from)) ms ago; the call takes $whole"
        [ $(($(date +%s%3N) - from)) -lt $((whole * 6 / 10)) ]
    done
    [ "$(cat /tmp/populate)" = begins ]
    state_is p running
}

@test "the last CPU and memory that is needed stay, with a reason" {
    run outrigger cpu remove p 2
    [ "$status" -ne 0 ]
    run outrigger memory remove p 256M
    [ "$status" -ne 0 ]
    state_is p running
    [ "$(outrigger run p -- /bin/busybox echo fine)" = fine ]
}
