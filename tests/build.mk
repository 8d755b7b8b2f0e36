# SPDX-License-Identifier: BSD-2-Clause
# `make deps` installs what is missing, `make test` runs all tests, `make vm-test`
# those in the test machine (FILES= picks some), `make soak` what takes longer
# than a CI run (SHARD= picks one).
.SECONDEXPANSION:

.PHONY: deps test vm-test soak
deps:
	$(Q)scripts/setup
# The second expansion sees the unit tests of the folders read after this one.
test: all $$(UNIT_TESTS)
	$(Q)UNIT_TESTS="$(UNIT_TESTS)" tests/run
vm-test: all
	$(Q)tests/run $(or $(FILES),vm)
soak: all
	$(Q)tests/run-soak $(SHARD)
