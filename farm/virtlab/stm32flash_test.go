package virtlab_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/image"
)

// stm32flash runs Debian's flasher, an AN3155 host that is not ours.
func stm32flash(t testing.TB, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("stm32flash")
	if err != nil {
		if os.Getenv("HIL_REQUIRE_TOOLS") == "1" {
			t.Fatal("stm32flash is not installed (Debian package stm32flash)")
		}
		t.Skip("stm32flash is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}

func newLab(t testing.TB, cfg virtlab.Config) *virtlab.Lab {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	lab, err := virtlab.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return lab
}

func drive(t testing.TB, b interface {
	SetLine(virtlab.Line, virtlab.Level) error
}, l virtlab.Line, v virtlab.Level) {
	t.Helper()
	if err := b.SetLine(l, v); err != nil {
		t.Fatal(err)
	}
}

// enterROM starts the boot ROM: BOOT0 high at the rising edge of RESETn.
func enterROM(t testing.TB, b *virtlab.Board) {
	t.Helper()
	drive(t, b, virtlab.LineBoot0, virtlab.High)
	drive(t, b, virtlab.LineReset, virtlab.Low)
	drive(t, b, virtlab.LineReset, virtlab.Float)
}

func leaveROM(t testing.TB, b *virtlab.Board) {
	t.Helper()
	drive(t, b, virtlab.LineBoot0, virtlab.Low)
	drive(t, b, virtlab.LineReset, virtlab.Low)
	drive(t, b, virtlab.LineReset, virtlab.Float)
}

func stats(t testing.TB, b interface {
	Stats() (virtlab.Stats, error)
}) virtlab.Stats {
	t.Helper()
	s, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func release(t testing.TB, label string) []byte {
	t.Helper()
	p, ok := image.Find(label)
	if !ok {
		t.Fatalf("no release %s", label)
	}
	data, err := image.Build(p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestStm32flashWritesVerifiesReadsBack(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "sf"})
	b := lab.Boards()[0]
	data := release(t, "3.0.0")
	file := filepath.Join(t.TempDir(), "f.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	before := stats(t, b)
	enterROM(t, b)
	start := time.Now()
	out, err := stm32flash(t, "-m", "8n1", "-b", "115200", "-S", "0x08002800:390932", "-w", file, "-v", b.UARTPath)
	if err != nil {
		t.Fatalf("stm32flash: %v\n%s", err, out)
	}
	s := stats(t, b).ROM.Since(before.ROM)
	t.Logf("unpaced: %v; at 115200 on the wire: %v", time.Since(start).Round(time.Millisecond), s.WireTime(115200))
	if s.Erases != 191 || s.MassErases != 0 {
		t.Errorf("erased %d pages and %d times everything, want 191 pages only", s.Erases, s.MassErases)
	}
	back := filepath.Join(t.TempDir(), "back.bin")
	leaveROM(t, b)
	enterROM(t, b)
	if out, err := stm32flash(t, "-m", "8n1", "-b", "115200", "-S", "0x08002800:390932", "-r", back, b.UARTPath); err != nil {
		t.Fatalf("stm32flash -r: %v\n%s", err, out)
	}
	got, err := os.ReadFile(back)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Error("what stm32flash reads back is not what it wrote")
	}
	leaveROM(t, b)
	if s := stats(t, b); s.State != virtlab.StateApp || s.Build != "170310-facade0" {
		t.Errorf("after flashing: %s running %s", s.State, s.Build)
	}
}

func TestStm32flashMassEraseBricks(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "sm"})
	b := lab.Boards()[0]
	enterROM(t, b)
	if out, err := stm32flash(t, "-m", "8n1", "-b", "115200", "-o", b.UARTPath); err != nil {
		t.Fatalf("stm32flash -o: %v\n%s", err, out)
	}
	leaveROM(t, b)
	if s := stats(t, b); s.State != virtlab.StateBricked {
		t.Fatalf("after a mass erase the module is %s, want bricked", s.State)
	}
	// Flashing the application again does not bring the boot part back.
	file := filepath.Join(t.TempDir(), "f.bin")
	if err := os.WriteFile(file, release(t, "3.4"), 0o600); err != nil {
		t.Fatal(err)
	}
	enterROM(t, b)
	if out, err := stm32flash(t, "-m", "8n1", "-b", "230400", "-S", "0x08002800:390932", "-w", file, "-v", b.UARTPath); err != nil {
		t.Fatalf("stm32flash -w: %v\n%s", err, out)
	}
	leaveROM(t, b)
	if s := stats(t, b); s.State != virtlab.StateBricked {
		t.Errorf("with application but no boot part the module is %s, want bricked", s.State)
	}
}

// What else an AN3155 host does with a module.
func TestStm32flashOtherCommands(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "so"})
	b := lab.Boards()[0]
	run := func(want virtlab.State, args ...string) {
		t.Helper()
		enterROM(t, b)
		drive(t, b, virtlab.LineBoot0, virtlab.Low)
		if out, err := stm32flash(t, append([]string{"-m", "8n1", "-b", "57600"}, append(args, b.UARTPath)...)...); err != nil {
			t.Fatalf("stm32flash %v: %v\n%s", args, err, out)
		}
		if s := stats(t, b); s.State != want {
			t.Errorf("after stm32flash %v the module is %s, want %s", args, s.State, want)
		}
	}
	run(virtlab.StateROM)                     // identify only
	run(virtlab.StateApp, "-g", "0x08002800") // go
	run(virtlab.StateApp, "-R")               // reset by a stub in RAM
	run(virtlab.StateApp, "-u")               // write unprotect ends in a reset
	run(virtlab.StateApp, "-j")               // readout protect
	run(virtlab.StateBricked, "-k")           // readout unprotect erases everything
}

// The figures of F1: one flashing of 256 KiB at 115200, as the host and as the
// virtual line see it.
func BenchmarkStm32flashPaced(b *testing.B) {
	lab := newLab(b, virtlab.Config{Boards: 1, Prefix: "sb", Pace: true})
	board := lab.Boards()[0]
	data := make([]byte, 64<<10)
	noise := rand.NewChaCha8([32]byte{1})
	_, _ = noise.Read(data)
	file := filepath.Join(b.TempDir(), "f.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	for _, baud := range []string{"115200", "921600"} {
		b.Run(baud, func(b *testing.B) {
			for b.Loop() {
				enterROM(b, board)
				before := stats(b, board)
				start := time.Now()
				if out, err := stm32flash(b, "-m", "8n1", "-b", baud, "-S", "0x08002800", "-w", file, "-v", board.UARTPath); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				took := time.Since(start)
				after := stats(b, board)
				wire := after.ROM.Since(before.ROM).WireTime(after.Baud)
				b.ReportMetric(float64(took)/float64(wire), "took/wire")
				b.ReportMetric(wire.Seconds(), "wire-s")
			}
		})
	}
}
