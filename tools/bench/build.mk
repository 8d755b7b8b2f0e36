# SPDX-License-Identifier: BSD-2-Clause
# `make bench`: both kernels in one machine; BENCH="--kernel 6.1 --quick" and so on.
.PHONY: bench
bench: all
	$(Q)tools/bench/run $(BENCH)
