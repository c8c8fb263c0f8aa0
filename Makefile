# Everything a developer runs by hand. The two commands of the README need only
# Go; the targets below may use the outside programs that they name.

.PHONY: build check test race fuzz bench soak

build:
	go build -o bin/hil-runner ./cmd/hil-runner

test:
	go test ./...

race:
	go test -race ./...

# What .ci/run checks before it runs the tests.
check:
	test -z "$$(gofmt -l .)"
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# One parser after the other: a fuzz target runs alone in its package.
FUZZTIME ?= 60s
fuzz:
	FUZZTIME=$(FUZZTIME) packaging/fuzz.sh

# Ratios beside a peer or a limit in the same run: stm32flash, cat, conserver.
bench:
	packaging/bench.sh

# The large counts that a release wants: kills, random faults, fuzz executions.
soak:
	packaging/soak.sh
