#!/usr/bin/env bash
# The large counts that a release wants, or the fraction SOAK of them (1 is
# all), and a table of what was run. Every count is a test that `go test` runs
# in small.
set -uo pipefail
cd "$(dirname "$0")/.."
SOAK=${SOAK:-1}
export SOAK
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
rows=()
failed=0

# part NAME COMMAND... runs one part of the soak and keeps its line of the table.
part() {
	local name=$1 log began=$SECONDS verdict=ok
	shift
	log="$logs/${#rows[@]}"
	printf '== %s\n' "$name"
	if ! "$@" >"$log" 2>&1; then
		verdict=FAILED
		failed=1
		tail -n 60 "$log"
	fi
	grep -h -o 'soak: .*' "$log" | sort -u
	rows+=("$(printf '%-44s %-7s %5d s  %s' "$name" "$verdict" "$((SECONDS - began))" "$(counts "$log")")")
}

# counts sums up what a log says was run: our tests print "soak: N of THING",
# Go's fuzzing prints its executions.
counts() {
	awk '
		/soak: [0-9]+ / { sub(/.*soak: /, ""); n = $1; sub(/^[0-9]+ /, ""); sum[$0] += n }
		/^fuzz / { if (target != "") execs += last; target = $3; last = 0 }
		/ execs: [0-9]+/ { match($0, /execs: [0-9]+/); last = substr($0, RSTART + 7, RLENGTH - 7) }
		END {
			execs += last
			for (thing in sum) out = out (out == "" ? "" : ", ") sum[thing] " " thing
			if (target != "") out = out (out == "" ? "" : ", ") execs " executions"
			print out
		}' "$1"
}

# share N gives the fraction SOAK of N, at least $2.
share() { awk -v n="$1" -v f="$SOAK" -v least="$2" 'BEGIN { v = int(n * f); print v < least ? least : v }'; }

part "kills at 60 moments x 20, signals, workers" \
	go test ./cmd/hil-runner -count=1 -timeout 10h -parallel 4 -v -run '^(TestOwnerKilled|TestSignals|TestWorkerKilled)$'
part "second owner, full disk, reader gone, x 20" \
	go test ./cmd/hil-runner -timeout 10h -count="$(share 20 1)" -v \
	-run '^(TestSecondOwner|TestSecondSignal|TestFullDisk|TestReaderGoesAway)$'
part "injection: XML, JSON, HTML, names, x 20" \
	go test ./reports ./recorder ./firmware -timeout 10h -count="$(share 20 1)" -v \
	-run 'Injection|Hostile|Escape|Sanit|Visible|XSS|WellFormed|Names|Path|Redact'
if [ "$(share 10 0)" -gt 0 ]; then
	for package in spwf firmware farm reports recorder farm/link console; do
		if grep -qs '^func Fuzz' "$package"/*_test.go; then
			part "fuzz $package, 1 h" env FUZZTIME="$(share 3600 60)s" packaging/fuzz.sh "$package"
		fi
	done
else
	rows+=("fuzz: from SOAK=0.1 on; below, see packaging/fuzz.sh")
fi

printf '\n%-44s %-7s %7s  %s\n' "soak, fraction $SOAK" result took counted
printf '%s\n' "${rows[@]}"
exit "$failed"
