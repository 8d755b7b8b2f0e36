# SPDX-License-Identifier: BSD-2-Clause
# The network stack. net.a shows that it compiles for ring 0 by itself; the
# tests and tools link the same sources for the host.

NET_SRC := $(filter-out %_test.c,$(wildcard cokernel/net/*.c))
NET_TESTS := $(wildcard cokernel/net/*_test.c)
NET_SIM_SRC := tests/net/sim/sim.c tests/net/sim/traffic.c
NET_KIT_SRC := tests/net/kit/kit.c

EXTRA += $(O)/cok/cokernel/net/net.a

$(O)/cok/cokernel/net/net.a: $(call objs,cok,$(NET_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(foreach t,$(NET_TESTS),$(eval $(call unit_test,net_$(basename $(notdir $t)),$t $(NET_SRC) $(NET_SIM_SRC) $(NET_KIT_SRC),-lm)))
$(eval $(call unit_test,net_sim,tests/net/sim/sim_main.c $(NET_SIM_SRC) $(NET_SRC)))
$(eval $(call user_program,net-sim,tests/net/sim/sim_main.c $(NET_SIM_SRC) $(NET_SRC)))
$(eval $(call unit_test,net_fuzz,tests/net/fuzz/replay.c tests/net/fuzz/frames.c $(NET_SRC)))
$(eval $(call unit_test,net_fuzz_calls,tests/net/fuzz/replay.c tests/net/fuzz/calls.c tests/net/fuzz/audit.c $(NET_SRC)))
$(eval $(call unit_test,net_fuzz_options,tests/net/fuzz/replay.c tests/net/fuzz/options.c $(NET_SRC)))
$(eval $(call unit_test,net_fuzz_reassembly,tests/net/fuzz/replay.c tests/net/fuzz/reassembly.c $(NET_SRC)))
$(eval $(call unit_test,net_mesh,tests/net/sim/mesh.c $(NET_SIM_SRC) $(NET_SRC)))
$(eval $(call user_program,net-mesh,tests/net/sim/mesh.c $(NET_SIM_SRC) $(NET_SRC)))
$(eval $(call user_program,net-diff,$(wildcard tests/net/diff/*.c) $(NET_SRC)))
