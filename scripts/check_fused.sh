#!/bin/sh
# Fails where the compiler fuses a multiplication with an addition in the optimiser: a fused result has other
# bits than a plain one, and a plan must be the same on every processor. arm64 fuses wherever the source
# allows it, so the assembly for arm64 shows every place; a conversion float64(x*y) forbids it.
set -eu
cd "$(dirname "$0")/.."
found=0
for package in rebalance/optimum rebalance/optimum/workload; do
	fused=$(GOARCH=arm64 go build -gcflags="daybreak/$package=-S" "./$package" 2>&1 | grep -E 'FN?M(ADD|SUB)[SD]' || true)
	if [ -n "$fused" ]; then
		echo "$fused" | sed 's/.*(\(.*go:[0-9]*\)).*/\1: fused multiply and add/' | sort -u
		found=1
	fi
done
exit $found
