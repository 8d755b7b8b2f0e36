#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The test machine with interrupt remapping, devices and UEFI.
# vm: --iommu --uefi --nic igb --nic igb --nvme 256M

@test "interrupts are remapped and the APICs in x2APIC mode" {
    dmesg | grep -q 'Enabled IRQ remapping in x2apic mode'
    grep -qw x2apic /proc/cpuinfo
}

@test "each device has an IOMMU group of its own" {
    for class in 0x020000 0x010802; do
        for device in /sys/bus/pci/devices/*; do
            [ "$(cat "$device/class")" = $class ] || continue
            [ "$(ls "$device/iommu_group/devices" | wc -l)" -eq 1 ]
            [ -e "$device/reset" ]
        done
    done
}

@test "the firmware is UEFI" {
    [ -d /sys/firmware/efi ]
}

@test "two network cards talk to each other" {
    modprobe igb
    cards=(/sys/bus/pci/drivers/igb/0*/net/*)
    [ ${#cards[@]} -eq 2 ]
    ip netns add far
    a=$(basename "${cards[0]}") b=$(basename "${cards[1]}")
    ip link set "$b" netns far
    ip addr add 10.9.0.1/24 dev "$a"
    ip -n far addr add 10.9.0.2/24 dev "$b"
    ip link set "$a" up
    ip -n far link set "$b" up
    for _ in $(seq 20); do
        if ip neigh flush dev "$a" && bash -c 'echo probe >/dev/udp/10.9.0.2/9' && sleep 0.5 &&
            ip neigh show dev "$a" | grep -q lladdr; then
            return 0
        fi
    done
    ip neigh show
    return 1
}

@test "the disk keeps what is written" {
    modprobe nvme
    for _ in $(seq 50); do [ -b /dev/nvme0n1 ] && break; sleep 0.1; done
    head -c 1M /dev/urandom >/dev/shm/data
    dd if=/dev/shm/data of=/dev/nvme0n1 bs=64K oflag=direct status=none
    dd if=/dev/nvme0n1 bs=64K count=16 iflag=direct status=none | cmp - /dev/shm/data
}
