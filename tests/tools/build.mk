# SPDX-License-Identifier: BSD-2-Clause
# Programs that only the tests run, inside the test machine.
$(eval $(call user_program,ctx_probe,tests/tools/ctx_probe.c))
$(eval $(call user_program,ioctl_abuse,tests/tools/ioctl_abuse.c))
$(eval $(call user_program,debuggee,tests/tools/debuggee.c,-lpthread))
