/* SPDX-License-Identifier: BSD-2-Clause */
/* A fuzz target: the options of a TCP header, in memory that ends where they do. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cokernel/net/tcp_internal.h"
#include "tests/net/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/net/fuzz/corpus-options";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint32_t options = net_min((uint32_t)(size - 1), 40u) & ~3u, bytes = TCP_HEADER_BYTES + options;
    struct tcp_in in = { .flags = data[0] };
    uint8_t *header = malloc(bytes);
    memset(header, 0, TCP_HEADER_BYTES);
    memcpy(header + TCP_HEADER_BYTES, data + 1, options);
    if (tcp_parse_options(&in, header, bytes)) {
        assert(in.sack_count <= 4 && in.wscale <= TCP_WSCALE_MAX);
        assert((in.flags & TCP_SYN) ? !in.sack_count : !in.has_mss && !in.has_wscale && !in.sack_ok);
    }
    free(header);
    return 0;
}
