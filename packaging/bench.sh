#!/usr/bin/env bash
# Prints what the project promises about speed, each goal beside a peer or a
# limit in the same run. A missed goal is printed and is no failure; what could
# not be measured, or bytes that were wrong, is one. Arguments go to hil-bench:
# -full has larger images, -only flash,paced,start,crowd takes some of them.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
go build -o "$programs/hil-runner" ./cmd/hil-runner
go build -o "$programs/hil-bench" ./cmd/hil-bench

# Each part goes on when another one fails; the last line says so.
failed=0
"$programs/hil-bench" -exe "$programs/hil-runner" "$@" || failed=1

# C1 to C4: capture and matching, beside cat(1) and conserver. They are tests
# that run only when asked, three times each, which takes two minutes.
if [ $# -eq 0 ] && compgen -G "console/bench/*_test.go" >/dev/null; then
	echo
	echo "C1 to C4  capture and matching"
	go test -c -o "$programs/console.test" ./console/bench
	(cd console/bench && HIL_BENCH=${HIL_BENCH:-3} "$programs/console.test" -test.v -test.run 'TestC[0-9]') || failed=1
fi
exit "$failed"
