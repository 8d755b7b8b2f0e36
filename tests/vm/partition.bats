#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Partitions as the host module makes them, with the stub image: give away, boot,
# stop, take back; and what it refuses.
# vm 6.1: --cpus 4
# vm 6.12: --cpus 4 --memory 4G --iommu --nodes 2
# log-allow: loading out-of-tree

stub=build/tests/images/stub.elf

value() { cat "/sys/class/outrigger/$1/$2"; }
# ram: bytes of System RAM that Linux has.
ram() {
    local sum=0 range
    while read -r range; do
        sum=$((sum + 16#${range#*-} - 16#${range%-*} + 1))
    done < <(sed -nE 's/^([0-9a-f]+-[0-9a-f]+) : System RAM$/\1/p' /proc/iomem)
    echo $sum
}

setup() {
    cpus=$(nproc)
    before=$(ram)
}

teardown() {
    for p in /sys/class/outrigger/*; do
        [ ! -d "$p" ] || outrigger destroy --force "$(basename "$p")"
    done
    [ "$(nproc)" -eq "$cpus" ]
    [ "$(ram)" = "$before" ]
}

@test "CPUs and memory blocks leave Linux and come back" {
    outrigger create p --cpus 1,3 --memory 256M --kind block
    [ "$(nproc)" -eq $((cpus - 2)) ]
    [ "$(value p cpus)" = 1,3 ]
    [ "$(value p memory_block)" -eq $((256 << 20)) ]
    [ "$(grep -c 'Outrigger p$' /proc/iomem)" -eq 2 ]
    [ "$(ram)" -eq $((before - (256 << 20))) ]
    outrigger destroy p
    ! grep -q Outrigger /proc/iomem
}

@test "contiguous pages leave Linux and come back" {
    free=$(awk '/^MemFree/ { print $2 }' /proc/meminfo)
    outrigger create p --cpus 1, --memory 70M --kind contig
    [ "$(value p memory_contig)" -eq $((70 << 20)) ]
    outrigger destroy p
    # Linux 6.12 keeps much of it per CPU for some seconds, which is not counted as free.
    for _ in $(seq 15); do
        now=$(awk '/^MemFree/ { print $2 }' /proc/meminfo)
        [ "$now" -le $((free - 20000)) ] || break
        sleep 1
    done
    [ "$now" -gt $((free - 20000)) ]
}

@test "an odd size takes blocks and contiguous pages" {
    outrigger create p --cpus 1, --memory 160M
    [ "$(value p memory)" -eq $((160 << 20)) ]
    [ "$(value p memory_block)" -eq $((128 << 20)) ]
}

@test "returned blocks are online and movable" {
    outrigger create p --cpus 1, --memory 256M --kind block
    start=$(sed -n 's/-.*Outrigger p$//p' /proc/iomem | head -n 1)
    outrigger destroy p
    block=$((16#$start / 16#$(cat /sys/devices/system/memory/block_size_bytes)))
    [ "$(cat /sys/devices/system/memory/memory$block/state)" = online ]
    [ "$(cat /sys/devices/system/memory/memory$block/valid_zones)" = Movable ]
}

@test "a partition boots, shuts down, boots again, and is killed" {
    outrigger create p --cpus 1-2 --memory 128M
    [ "$(value p state)" = created ]
    outrigger load p --image $stub
    [ "$(value p state)" = loaded ]
    outrigger boot p
    [ "$(value p state)" = running ]
    [ "$(outrigger log p | head -n 1)" = "stub: up" ]
    outrigger shutdown p
    [ "$(value p state)" = stopped ]
    outrigger boot p
    outrigger kill p
    [ "$(value p state)" = stopped ]
    [ "$(value p reason)" = killed ]
}

@test "CPUs are pinged about once a second, and no more" {
    outrigger create p --cpus 1-2 --memory 128M
    outrigger boot p --image $stub
    for c in 1 2; do was[c]=$(value p cpu$c/doorbell); done
    sleep 5
    for c in 1 2; do
        n=$(($(value p cpu$c/doorbell) - was[c]))
        [ $n -ge 4 ] && [ $n -le 6 ]
    done
}

@test "two partitions live side by side, one can crash" {
    outrigger create a --cpus 1, --memory 128M
    outrigger create b --cpus 2-3 --memory 128M
    outrigger boot a --image $stub
    outrigger boot b --image $stub
    ! outrigger test a 1
    for _ in $(seq 20); do [ "$(value a state)" != crashed ] || break; sleep 0.1; done
    [ "$(value a state)" = crashed ]
    [ "$(value a reason)" = "panic: asked to panic" ]
    [ "$(value b state)" = running ]
    ctx_probe b || [ $? -eq 7 ]
    outrigger boot a
    [ "$(value a state)" = running ]
}

@test "a CPU that hangs with interrupts off is noticed within 2 s, its registers saved" {
    outrigger create p --cpus 1, --memory 128M
    outrigger boot p --image $stub
    # The kernel log's clock: a process of Linux that looks may be late itself.
    echo "partition.bats: hang" >/dev/kmsg
    ! outrigger test p 5
    for _ in $(seq 60); do [ "$(value p state)" != crashed ] || break; sleep 0.05; done
    [ "$(value p state)" = crashed ]
    [ "$(value p reason)" = "CPU 1 does not answer" ]
    dmesg | tr -d '[]' | awk '/partition.bats: hang/ { from = $1 } / p: crashed: / { to = $1 }
        END { print "noticed after", to - from, "s"; exit !(to > from && to - from < 2) }'
    sleep 0.5
    [ "$(value p cpu1/state)" -eq 3 ]
}

@test "an image that does not come up leaves the partition loaded, with the reason" {
    outrigger create p --cpus 1-2 --memory 128M
    run outrigger boot p --image $stub --append refuse
    [ $status -ne 0 ]
    [[ $output == *"refused to run: told to refuse"* ]]
    [ "$(value p state)" = loaded ]
    run outrigger boot p --image $stub --append old-abi
    [[ $output == *"ABI version 0"* ]]
    run outrigger boot p --image $stub --append silent
    [[ $output == *"did not come up within 10 s"* ]]
    [ "$(value p state)" = loaded ]
    outrigger boot p --image $stub
    [ "$(value p state)" = running ]
}

@test "CPUs and memory come and go while it runs" {
    outrigger create p --cpus 1, --memory 128M
    outrigger boot p --image $stub
    for kind in block contig; do
        outrigger cpu add p 2-3
        outrigger memory add p 128M --kind $kind
        [ "$(value p cpus)" = 1-3 ]
        [ "$(value p cpu3/state)" -eq 1 ]
        [ "$(value p memory)" -eq $((256 << 20)) ]
        outrigger cpu remove p 2-3
        outrigger memory remove p 128M
        [ "$(value p cpus)" = 1 ]
        [ "$(value p memory)" -eq $((128 << 20)) ]
    done
    [ "$(nproc)" -eq $((cpus - 1)) ]
    run outrigger cpu remove p 1
    [[ $output == *"last one"* ]]
}

@test "a co-kernel that keeps its memory keeps it, and says so" {
    outrigger create p --cpus 1, --memory 128M
    outrigger boot p --image $stub --append keep-memory
    outrigger memory add p 128M
    run outrigger memory remove p 128M
    [ $status -ne 0 ]
    [[ $output == *"in use"* ]]
    [ "$(value p memory)" -eq $((256 << 20)) ]
}

@test "CPUs that cannot be had are refused and named" {
    outrigger create p --cpus 1, --memory 128M
    run outrigger cpu add p 0
    [[ $output == *"CPU 0 cannot be given away"* ]]
    run outrigger cpu add p 99
    [[ $output == *"CPU 99 does not exist"* ]]
    run outrigger cpu add p 1
    [[ $output == *"owned"* ]]
    echo 0 >/sys/devices/system/cpu/cpu2/online
    run outrigger cpu add p 2
    [[ $output == *"CPU 2 is offline"* ]]
    echo 1 >/sys/devices/system/cpu/cpu2/online
    run outrigger cpu remove p 3
    [[ $output == *"does not belong"* ]]
}

@test "an owned CPU cannot be brought online" {
    outrigger create p --cpus 1, --memory 128M
    outrigger boot p --image $stub
    run bash -c 'echo 1 >/sys/devices/system/cpu/cpu1/online'
    [ $status -ne 0 ]
    [ "$(value p state)" = running ]
}

@test "more memory than there is: refused with what could be had, nothing taken" {
    outrigger create p --cpus 1, --memory 128M
    run outrigger memory add p 64G
    [ $status -ne 0 ]
    [[ $output =~ "65536 MiB of memory wanted, but Linux can let go of "[0-9]+" MiB at most" ]]
    [ "$(value p memory)" -eq $((128 << 20)) ]
}

@test "names: twice, too long, odd" {
    outrigger create p --cpus 1, --memory 128M
    run outrigger create p --cpus 2, --memory 128M
    [[ $output == *"exists already"* ]]
    run outrigger create "$(printf 'x%.0s' {1..40})" --cpus 2, --memory 128M
    [ $status -ne 0 ]
    run outrigger create .hidden --cpus 2, --memory 128M
    [ $status -ne 0 ]
}

@test "a failed create leaves nothing" {
    run outrigger create p --cpus 1,99 --memory 128M
    [ $status -ne 0 ]
    [ ! -e /sys/class/outrigger/p ]
}

@test "the module stays while a partition exists" {
    outrigger create p --cpus 1, --memory 128M
    run rmmod outrigger
    [ $status -ne 0 ]
    outrigger destroy p
    rmmod outrigger
    modprobe outrigger 2>/dev/null || insmod "build/module/$(uname -r)/outrigger.ko"
}

@test "suspend is refused while partitions exist" {
    grep -qw freeze /sys/power/state || skip "this kernel cannot suspend"
    outrigger create p --cpus 1, --memory 128M
    echo freezer >/sys/power/pm_test 2>/dev/null || skip "no pm_test"
    run bash -c 'echo freeze >/sys/power/state'
    echo none >/sys/power/pm_test
    [ $status -ne 0 ]
}

@test "every ioctl refuses what is wrong" {
    outrigger create p --cpus 1, --memory 128M
    outrigger boot p --image $stub
    run ioctl_abuse p
    echo "$output"
    [ $status -eq 0 ]
    [ "$(value p state)" = running ]
}

@test "files that are no image are refused" {
    outrigger create p --cpus 1, --memory 128M
    for f in /etc/passwd /bin/true /dev/null /; do
        run outrigger load p --image $f
        [ $status -eq 1 ]
        [ "${#lines[@]}" -eq 1 ]
    done
    for n in 0 10 64 200 4096 10000; do
        head -c $n $stub >/tmp/cut
        run outrigger load p --image /tmp/cut
        [ $status -eq 1 ]
    done
}

@test "two commands race on one partition" {
    outrigger create p --cpus 1-2 --memory 128M
    outrigger load p --image $stub
    outrigger boot p & a=$!
    outrigger boot p & b=$!
    won=0
    for j in $a $b; do if wait $j; then won=$((won + 1)); fi; done
    [ $won -eq 1 ]
    outrigger destroy --force p & a=$!
    outrigger destroy --force p & b=$!
    won=0
    for j in $a $b; do if wait $j; then won=$((won + 1)); fi; done
    [ $won -eq 1 ]
}

@test "10 times create, boot, destroy" {
    for _ in $(seq 10); do
        outrigger create p --cpus 1-3 --memory 128M
        outrigger boot p --image $stub
        outrigger destroy --force p
    done
    ! grep -q outrigger- /proc/interrupts
}
