// Package bench holds the measurements of console and recorder, as tests that
// run only with HIL_BENCH=1:
//
//	HIL_BENCH=1 go test -v -count=1 ./console/bench
//
// C1 compares the capture of one console with cat(1), C2 that of 16 consoles
// with conserver, C3 measures how late a pattern is noticed, C4 what it costs
// to expect one. Figures are CPU seconds and ratios taken beside the peer in
// the same run; they are printed, and do not fail on a busy machine.
package bench
