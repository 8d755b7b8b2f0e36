#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Digests over links that lose, reorder, duplicate and corrupt. The large
# amounts are in tests/soak/net-digest.

load netns
setup() { net_setup; }
teardown() { net_teardown; }

# both_ways BYTES IMPAIRMENT
both_ways() {
    start_server --impair "$2"
    want=$(random_file "$1")
    [ "$(in_ns timeout 100 nc -N 10.9.0.2 7 <"$dir/data" | digest)" = "$want" ]
}

@test "net: 16 MB at 1 % loss" {
    both_ways 16777216 "loss=1%,delay=1ms,seed=11"
    [ "$(counter tcp_retransmits)" -gt 0 ]
}
@test "net: 256 KB at 20 % loss" { both_ways 262144 "loss=20%,delay=1ms,seed=12"; }
@test "net: 8 MB with reordering, duplication and corruption" {
    both_ways 8388608 "reorder=3%,dup=2%,corrupt=1%,delay=2ms,jitter=1ms,seed=13"
    [ "$(counter tcp_bad_cksum)" -gt 0 ]
}
@test "net: 4 MB through a 20 Mbit/s bottleneck" { both_ways 4194304 "rate=20mbit,delay=5ms,seed=14"; }
