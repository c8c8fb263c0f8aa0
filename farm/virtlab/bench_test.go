package virtlab_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hil-runner/farm/virtlab"
)

// The figure of F4: eight boards at 921600, each flashed by a process of its
// own; how much longer the slowest takes than its own line.
func BenchmarkEightBoardsPaced(b *testing.B) {
	const boards = 8
	lab := newLab(b, virtlab.Config{Boards: boards, Prefix: "f", Pace: true})
	data := make([]byte, 64<<10)
	noise := rand.NewChaCha8([32]byte{2})
	_, _ = noise.Read(data)
	file := filepath.Join(b.TempDir(), "f.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var work sync.WaitGroup
		ratios := make([]float64, boards)
		for i, board := range lab.Boards() {
			enterROM(b, board)
			before := stats(b, board)
			work.Go(func() {
				start := time.Now()
				out, err := stm32flash(b, "-m", "8n1", "-b", "921600", "-S", "0x08002800", "-w", file, "-v", board.UARTPath)
				if err != nil {
					b.Errorf("%s: %v\n%s", board.ID, err, out)
					return
				}
				took := time.Since(start)
				ratios[i] = float64(took) / float64(stats(b, board).ROM.Since(before.ROM).WireTime(921600))
			})
		}
		work.Wait()
		worst := 0.0
		for _, r := range ratios {
			worst = max(worst, r)
		}
		b.ReportMetric(worst, "worst-took/wire")
	}
}

// BenchmarkTurnaround is one command and its answer through the terminal.
func BenchmarkTurnaround(b *testing.B) {
	for _, pace := range []bool{false, true} {
		b.Run(fmt.Sprintf("paced=%v", pace), func(b *testing.B) {
			lab := newLab(b, virtlab.Config{Boards: 1, Prefix: "ta", Pace: pace})
			p := openPort(b, lab.Boards()[0].UARTPath, 115200)
			if got, ok := expect(b, p, "+WIND:32:", 5*time.Second); !ok {
				b.Fatalf("no start: %q", got)
			}
			for b.Loop() {
				send(b, p, "AT\r")
				if _, ok := expect(b, p, "OK\r\n", time.Second); !ok {
					b.Fatal("no answer")
				}
			}
		})
	}
}

// BenchmarkLabStart is what a lab costs before anything happens in it.
func BenchmarkLabStart(b *testing.B) {
	for b.Loop() {
		lab, err := virtlab.New(virtlab.Config{Boards: 8, Prefix: "ls"})
		if err != nil {
			b.Fatal(err)
		}
		if err := lab.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
