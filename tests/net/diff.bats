#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The same packets and calls to Linux and to the stack (net-diff); always the same
# seeds. More of them: tests/soak/net-diff.

@test "net: 512 scripts of packets and calls look the same to Linux's users and peers" {
    [ "$(id -u)" -eq 0 ] || skip "needs root for a network namespace"
    run timeout 120 "$BATS_TEST_DIRNAME/../../build/bin/net-diff" 1 512
    [ "$status" -ne 77 ] || skip "$output"
    echo "$output"
    [ "$status" -eq 0 ]
}
