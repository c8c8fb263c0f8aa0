package hostlab_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/virtlab"
	"hil-runner/recorder"
)

// ownerDir tells this executable that it is an owner to be killed, and where
// its order is.
const ownerDir = "HIL_HOSTLAB_TEST_OWNER"

// killOrder is what an owner in another process works on.
type killOrder struct {
	Device hostlab.Device
	// Flash flashes instead of holding reset.
	Flash bool
}

// ownUntilKilled opens a board and does something to its lines for ever.
func ownUntilKilled(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "order.json"))
	if err != nil {
		return err
	}
	var order killOrder
	if err := json.Unmarshal(raw, &order); err != nil {
		return err
	}
	fence, err := farm.OpenFence(filepath.Join(dir, "tokens"))
	if err != nil {
		return err
	}
	ctx := context.Background()
	lab, err := hostlab.Open(ctx, hostlab.Config{Devices: []hostlab.Device{order.Device}, StateDir: dir, Fence: fence, Image: virtualImage})
	if err != nil {
		return err
	}
	id := order.Device.Board.ID
	b, err := lab.Open(ctx, id, farmtest.NewLease(id, 1))
	if err != nil {
		return err
	}
	say := func() { _, _ = io.WriteString(os.Stdout, "now\n") }
	if order.Flash {
		_, err = b.Flash.Flash(ctx, farm.FlashRequest{Release: "3.5.3"}, func(stage string, done, _ int) {
			if stage == "write" && done > 4096 {
				say()
				select {}
			}
		})
		return err
	}
	go func() {
		cursor := b.Recording.Cursor(b.From)
		for {
			rec, err := cursor.Next(ctx)
			if err != nil || rec.Kind == recorder.KindReset {
				say()
				return
			}
		}
	}()
	return b.Reset.Reset(ctx, time.Hour)
}

// killOwner runs an owner in another process until it is in the midst of its
// work and kills it there.
func killOwner(t *testing.T, h *host, flash bool) {
	t.Helper()
	d := h.cfg.Devices[0]
	d.JournalDir = filepath.Join(h.cfg.StateDir, "journal", "killed")
	raw, err := json.Marshal(killOrder{Device: d, Flash: flash})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.cfg.StateDir, "order.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), ownerDir+"="+h.cfg.StateDir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4)
	_, readErr := io.ReadFull(out, line)
	if !flash && readErr == nil {
		h.until("reset is held", func() bool { return h.level("hl1", virtlab.LineReset) == virtlab.Low })
	}
	if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(out)
	_ = cmd.Wait()
	if readErr != nil || string(line) != "now\n" {
		t.Fatalf("the owner said %q: %v", string(line)+string(rest), readErr)
	}
}

// A killed owner leaves a mark; the next one parks the board and says so.
func TestKilledOwner(t *testing.T) {
	t.Parallel()
	for name, flash := range map[string]bool{"holding reset": false, "flashing": true} {
		t.Run(name, func(t *testing.T) {
			h := newVirtual(t, setup{})
			killOwner(t, h, flash)
			if flash && (h.level("hl1", virtlab.LineBoot0) != virtlab.High || h.stats("hl1").State != virtlab.StateROM) {
				t.Fatalf("the owner left the module %v", h.stats("hl1").State)
			}
			h.open()
			h.token = 1
			b := h.bench("hl1")
			left := waitEvent(t, b.Recording, 0, "left_unparked")
			if !strings.Contains(left.text("owner"), farm.Owner()) {
				t.Errorf("left by %v", left.fields)
			}
			if boot0, reset := h.level("hl1", virtlab.LineBoot0), h.level("hl1", virtlab.LineReset); boot0 == virtlab.High || reset != virtlab.Float {
				t.Errorf("BOOT0 is %v, reset %v", boot0, reset)
			}
			if flash {
				if p := h.passport("hl1"); p.Interrupted == nil {
					t.Error("the passport does not know of the interruption")
				}
				if _, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.5.3"}, nil); err != nil {
					t.Errorf("flashing again: %v", err)
				}
			} else if err := b.Reset.Reset(t.Context(), 0); err != nil {
				t.Error(err)
			}
			report, err := recorder.Verify(filepath.Join(h.cfg.StateDir, "journal", "killed"))
			if err != nil {
				t.Errorf("the killed owner's journal: %v, %+v", err, report)
			}
			// A board that was parked is not noted again.
			h.close()
			h.open()
			for _, e := range events(t, h.bench("hl1").Recording, left.Offset+1) {
				if e.text("event") == "left_unparked" {
					t.Error("a parked board was noted as left")
				}
			}
		})
	}
}

func TestTwoOwnersOfAPort(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	cfg := h.cfg
	cfg.Devices = []hostlab.Device{cfg.Devices[0]}
	for name, journal := range map[string]string{"another journal": filepath.Join(t.TempDir(), "other"), "the same journal": cfg.Devices[0].JournalDir} {
		cfg.Devices[0].JournalDir = journal
		second, err := hostlab.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := second.Open(t.Context(), h.id("hl1"), farmtest.NewLease(h.id("hl1"), 99)); !errors.Is(err, farm.ErrBoardBusy) ||
			!strings.Contains(err.Error(), "hl1") || farm.ExitCode(err) != farm.ExitNoBoard {
			t.Errorf("%s: the second owner got %v", name, err)
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	}
	// The second owner has touched neither the lines nor the mark.
	if err := module(b).Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if got := incidents(t, b.Recording, b.From); len(got) > 0 {
		t.Errorf("incidents %v", got)
	}
	if marks, err := os.ReadDir(filepath.Join(h.cfg.StateDir, "open")); err != nil || len(marks) != 1 {
		t.Errorf("marks %v, %v", marks, err)
	}
}

// An unplugged port ends every wait at once, is an incident, and costs nothing
// afterwards.
func TestUnplug(t *testing.T) {
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	from := b.Recording.End()
	ended := make(chan error, 1)
	go func() {
		p := make([]byte, 1024)
		for {
			if _, err := b.UART.Read(p); err != nil {
				ended <- err
				return
			}
		}
	}()
	start := time.Now()
	if err := h.virtual.Close(); err != nil {
		t.Fatal(err)
	}
	closed := time.Now()
	err := <-ended
	if d := time.Since(closed); d > time.Second {
		t.Errorf("it took %v (and %v to close)", d, closed.Sub(start))
	}
	wantCode(t, err, "uart_lost", "hl1", b.Board.Port)
	if in := waitEvent(t, b.Recording, from, "incident"); in.text("code") != "uart_lost" || !strings.Contains(in.text("text"), b.Board.Port) {
		t.Errorf("incident %v", in.fields)
	}
	_, writeErr := b.UART.Write([]byte("AT\r"))
	_, flashErr := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.0.0"}, nil)
	_, openErr := h.Open(t.Context(), h.id("hl1"), farmtest.NewLease(h.id("hl1"), 99))
	for _, err := range []error{writeErr, b.Reset.Reset(t.Context(), 0), flashErr, openErr} {
		wantCode(t, err, "uart_lost")
	}
	if _, err := b.Journal.Event(t.Context(), recorder.KindNote, "still recorded", nil); err != nil {
		t.Errorf("the journal ended with the port: %v", err)
	}
	const window = 300 * time.Millisecond
	before := cpu(t)
	<-time.After(window)
	if used := cpu(t) - before; used > window/10 {
		t.Errorf("%v of processor time in %v after the unplugging", used, window)
	}
}

// cpu is the processor time that this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What an unplugging ends while it is under way.
func TestUnplugDuring(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(h *host, b *farm.Bench) error{
		"reset": func(h *host, b *farm.Bench) error { return b.Reset.Reset(h.t.Context(), 0) },
		"flash": func(h *host, b *farm.Bench) error {
			_, err := b.Flash.Flash(h.t.Context(), farm.FlashRequest{Release: "3.0.0"}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{faults: []virtlab.Fault{{Kind: virtlab.FaultDead}}, banner: time.Minute})
			b := h.bench("hl1")
			from := b.Recording.End()
			ended := make(chan error, 1)
			go func() { ended <- run(h, b) }()
			waitEvent(t, b.Recording, from, "reset")
			if err := h.virtual.Close(); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				// The lines of a virtual board go with its UART.
				if !errors.Is(err, farm.ErrUARTLost) && !strings.Contains(err.Error(), "control socket") &&
					!strings.Contains(err.Error(), "is the lab that serves this socket up?") {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(patience):
				t.Fatal("it did not end")
			}
		})
	}
}
