#!/usr/bin/env bash
# Runs fuzz targets one after the other, FUZZTIME for all targets of a package
# together. Packages are folders, or folder:Target for one target; without any,
# all that have targets.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-60s}
seconds=${time%s}
if [ $# -eq 0 ]; then
	set -- $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u)
fi
for package in "$@"; do
	targets=${package#*:}
	package=${package%%:*}
	if [ "$targets" = "$package" ]; then
		targets=$(grep -h -o '^func Fuzz[A-Za-z0-9_]*' "$package"/*_test.go | sed 's/^func //')
	fi
	count=$(echo "$targets" | wc -l)
	each=$((seconds / count > 1 ? seconds / count : 1))
	for target in $targets; do
		echo "fuzz $package $target ${each}s"
		go test "./$package" -run '^$' -fuzz "^$target\$" -fuzztime "${each}s" | tail -n 3
	done
done
