#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What an attacker may cost: instructions and memory inside the stack, in a process of its own.

netbench=$BATS_TEST_DIRNAME/../../build/bin/netbench

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=dut_step "$netbench" "$@" 2>&1 |
        sed -n 's/.*Collected : *\([0-9]*\).*/\1/p'
}

@test "net: an established connection keeps half of its rate while as many SYNs as segments come" {
    local alone flooded
    alone=$(instructions ours recv 20000)
    flooded=$(instructions ours flood 20000)
    echo "alone $alone instructions, flooded $flooded"
    [ "$alone" -gt 0 ]
    [ "$flooded" -le $((2 * alone)) ]
}

@test "net: a million SYNs that nobody completes take bounded memory" {
    run "$netbench" ours half-open 1000000
    [ "$status" -eq 0 ]
    echo "$output"
    [ "$(sed -n 's/^half-open .* memory_bytes //p' <<<"$output")" -lt 100000000 ]
}

@test "net: 50,000 slow peers take bounded memory, and an ordinary connection goes on beside them" {
    run "$netbench" ours slow 50000 52
    echo "$output"
    [ "$status" -eq 0 ] # the limit held, no frame was without a buffer, the last message was answered, and connecting works again
    [[ "$output" =~ refused\ [1-9][0-9]*\ times ]]
    [[ "$output" =~ after.*\ [1-9][0-9]*\ reset\ for\ memory ]]
    [ "$(sed -n 's/.* slowest \(.*\) us$/\1/p' <<<"$output")" -lt 100000 ]
}
