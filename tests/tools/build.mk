# SPDX-License-Identifier: BSD-2-Clause
# Programs that only the tests run, inside the test machine.
$(eval $(call user_program,ctx_probe,tests/tools/ctx_probe.c))
