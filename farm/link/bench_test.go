package link_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/link"
	"hil-runner/farm/virtlab"
)

// realLab is a virtual board behind its PTY, owned by this process.
func realLab(t testing.TB) *hostlab.Lab {
	t.Helper()
	virtual, err := virtlab.New(virtlab.Config{Boards: 1, Prefix: "lk", Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { virtual.Close() })
	dir := t.TempDir()
	fence, err := farm.OpenFence(filepath.Join(dir, "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fence.Close() })
	b := virtual.Boards()[0]
	limits := farm.DefaultLimits()
	limits.Pulse, limits.Command = time.Millisecond, 10*time.Second
	line := func(role string) *farm.LineAddress { return &farm.LineAddress{Address: b.ID + "-" + role} }
	lab, err := hostlab.Open(context.Background(), hostlab.Config{StateDir: dir, Fence: fence,
		Devices: []hostlab.Device{{JournalDir: filepath.Join(dir, "journal"), Address: b.Address(), Wiring: farm.Wiring{
			Net:   "sock:" + b.ControlPath,
			Board: farm.Board{ID: b.ID, Model: farm.DefaultModel, Port: b.UARTPath, Virtual: true, Limits: limits},
			Lines: farm.LabLines{Reset: line("reset"), Boot0: line("boot0"), Power: line("power")}}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("closing the lab: %v", err)
		}
	})
	return lab
}

// attach serves a bench of the lab over a socketpair, as to a worker, and
// attaches to it.
func attach(t testing.TB, lab *hostlab.Lab, token uint64) *farm.Bench {
	t.Helper()
	id := lab.Boards()[0].ID
	bench, err := lab.Open(context.Background(), id, farmtest.NewLease(id, token))
	if err != nil {
		t.Fatal(err)
	}
	owner, peer := socketPair(t)
	share := &link.Share{Bench: bench, Journal: bench.Recording, From: bench.From, Build: build}
	served := make(chan error, 1)
	go func() { served <- share.Serve(context.Background(), owner) }()
	s, err := link.Attach(peer, build, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("the owner: %v", err)
		}
	})
	return s.Bench
}

func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		ends[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// A bench over a link is a bench: the same suite as for the owner's own.
func TestAttachedBenchConforms(t *testing.T) {
	lab := realLab(t)
	token := uint64(0)
	farmtest.TestBench(t, func(t *testing.T) *farm.Bench {
		token++
		return attach(t, lab, token)
	})
}

// BenchmarkATToOK is what a spec waits for the shortest command, over the link
// of a worker and the terminal of a virtual module without delays.
func BenchmarkATToOK(b *testing.B) {
	lab := realLab(b)
	id := lab.Boards()[0].ID
	owned, err := lab.Open(b.Context(), id, farmtest.NewLease(id, 1))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		bench *farm.Bench
	}{{"owner", owned}, {"worker", nil}} {
		b.Run(c.name, func(b *testing.B) {
			bench := c.bench
			if bench == nil {
				bench = attach(b, lab, 2)
			}
			roundTrips(b, bench)
		})
	}
}

func roundTrips(b *testing.B, bench *farm.Bench) {
	if err := bench.Reset.Reset(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	expect(b, bench, "+WIND:32:") // the radio has started: nothing comes unasked
	expect(b, bench, "\n")
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := bench.UART.Write([]byte("AT\r")); err != nil {
			b.Fatal(err)
		}
		expect(b, bench, "\r\nOK\r\n")
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "us-p99")
}

// expect reads up to and with a text.
func expect(b *testing.B, bench *farm.Bench, text string) {
	if err := bench.UART.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		b.Fatal(err)
	}
	for seen, one := 0, make([]byte, 1); seen < len(text); {
		if _, err := bench.UART.Read(one); err != nil {
			b.Fatalf("waiting for %q: %v", text, err)
		}
		switch {
		case one[0] == text[seen]:
			seen++
		case one[0] == text[0]:
			seen = 1
		default:
			seen = 0
		}
	}
}
