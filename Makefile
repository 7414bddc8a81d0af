# SPDX-License-Identifier: MIT
# Aliases of ./dev, for fingers that type make.
.PHONY: build demo demo-calls demo-regression test bench fuzz amalgamation soak format lint clean install
PREFIX = /usr/local

build demo demo-calls demo-regression test bench fuzz amalgamation soak format lint clean:
	./dev $@

install: build
	cmake --install build --prefix "$(PREFIX)"
