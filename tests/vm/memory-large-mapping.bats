#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Memory blocks out of the middle of 1 GiB that Linux maps with one page: what stays with it must
# stay mapped. With 7 GiB there are such pages.
# vm: --cpus 4 --memory 7G
# seldom: 6.1
load partition

teardown() {
    outrigger destroy --force q 2>/dev/null || true
    outrigger destroy --force r 2>/dev/null || true
}

# The first page of such a GiB was freed in spite of nobody having it; whoever takes its block sees.
trouble() { dmesg | grep -E "BUG|Oops|Bad page|refcount:-1"; }

@test "blocks out of a mapping of 1 GiB leave Linux the rest of it" {
    outrigger create q --cpus 2 --memory 384M
    for _ in 1 2 3 4 5; do
        outrigger create r --cpus 1 --memory 1152M
        outrigger destroy r
    done
    outrigger create r --cpus 1 --memory 2G
    run trouble
    [ -z "$output" ]
}
