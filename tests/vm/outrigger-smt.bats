#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Cores with two threads: given whole, unless the administrator insists.
# vm: --cpus 4 --threads 2
# kernels: 6.12
# (6.1 reads no threads of a core from the emulated CPU.)

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    load partition
    outrigger check >/dev/null
    # CPUs 0 and 1 share a core, and so do 2 and 3.
    [ "$(cat /sys/devices/system/cpu/cpu2/topology/thread_siblings_list)" = 2-3 ]
}

teardown() { down p; }

@test "a list that splits a core is refused, whole cores are not" {
    run -1 outrigger create p --cpus 2,
    [[ $output == *"CPU 2 shares its core with CPU 3"*--force* ]]
    run -1 outrigger create p --cpus 1-3
    [[ $output == *"CPU 1 shares its core with CPU 0"* ]]
    [ ! -d $class/p ]
    outrigger create p --cpus 2-3
    [ "$(attr p cpus)" = 2-3 ]
}

@test "with --force it warns" {
    run -0 outrigger create p --cpus 3, --force
    [[ $output == *warning*"CPU 3 shares its core with CPU 2"* ]]
    [ "$(attr p cpus)" = 3 ]
    run -1 outrigger cpu add p 1
    outrigger cpu add p 2
    [ "$(attr p cpus)" = 2-3 ]
}

@test "a count is met by whole cores" {
    run -1 outrigger create p --cpus 1
    [[ $output == *"Linux can give 0 as whole cores"* ]]
    run -1 outrigger create p --cpus 3
    [[ $output == *"3 CPUs wanted, but Linux can give 2"* ]]
    outrigger create p --cpus 2
    [ "$(attr p cpus)" = 2-3 ]
}
