# SPDX-License-Identifier: BSD-2-Clause
# Static programs that run the same on Linux and on a co-kernel.

$(eval $(call static_app,calls,apps/calls.c))
$(eval $(call static_app,threads,apps/threads.c,-lpthread))
$(eval $(call static_app,fault,apps/fault.c))
$(eval $(call static_app,bench,apps/bench.c,-lpthread))
$(eval $(call static_app,direct,apps/direct.c))
$(eval $(call static_app,memory,apps/memory.c))
$(eval $(call static_app,signals,apps/signals.c,-lpthread))
$(eval $(call static_app,sigmasks,apps/sigmasks.c,-lpthread))
$(eval $(call static_app,files,$(wildcard apps/files/*.c),-lpthread))
$(eval $(call static_app,maps,apps/maps.c))
$(eval $(call static_app,clocks,apps/clocks.c))
$(eval $(call static_app,frames,apps/frames.c,-lpthread))
$(eval $(call static_app,fuzz,$(wildcard apps/fuzz/*.c),-lpthread))
$(eval $(call static_app,scale,apps/scale.c,-lpthread))
