#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Memory blocks out of the middle of 1 GiB that Linux maps with one page: what stays with it must
# stay mapped. With 7 GiB there are such pages; the partition gets parts of two of them.
# vm: --cpus 4 --memory 7G
load partition

@test "blocks out of a mapping of 1 GiB leave Linux the rest of it" {
    outrigger create q --cpus 2-3 --memory 2432M
    # The first page of each such GiB was freed in spite of nobody having it.
    [ "$(dmesg | grep -c "refcount:-1")" -eq 0 ]
    dd if=/dev/zero of=/dev/shm/fill bs=1M count=3072 status=none
    [ "$(tr -d '\0' </dev/shm/fill | wc -c)" -eq 0 ]
    rm /dev/shm/fill
    outrigger destroy q
    [ "$(dmesg | grep -cE "BUG|Oops|refcount:-1")" -eq 0 ]
}
