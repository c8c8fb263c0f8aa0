package virtlab_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/farm/virtlab"
)

func number(n int) *int { return &n }

func TestFaults(t *testing.T) {
	at := []byte("AT\r")
	tests := []struct {
		name  string
		fault virtlab.Fault
		try   func(t *testing.T, b *bench)
	}{
		{"hang at the second command", virtlab.Fault{Kind: virtlab.FaultHang, After: virtlab.Trigger{Command: 2}}, func(t *testing.T, b *bench) {
			if got := b.send(time.Minute, at...); string(got) != "\r\nOK\r\n" {
				t.Errorf("first: %q", got)
			}
			if got := b.send(time.Minute, at...); len(got) != 0 {
				t.Errorf("second: %q", got)
			}
			b.state(virtlab.StateHung)
			b.reset()
			b.take()
			if got := b.send(0, at...); string(got) != "\r\nOK\r\n" {
				t.Errorf("after a reset: %q", got)
			}
		}},
		{"hard fault", virtlab.Fault{Kind: virtlab.FaultHardFault, After: virtlab.Trigger{Command: 1}}, func(t *testing.T, b *bench) {
			got := string(b.send(time.Minute, at...))
			for _, want := range []string{"\r\n+WIND:8:Hard Fault:", " pc 08", "\r\n+WIND:1:", "\r\n+WIND:32:"} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %q", want, got)
				}
			}
		}},
		{"watchdog", virtlab.Fault{Kind: virtlab.FaultWatchdog, After: virtlab.Trigger{Time: time.Second}}, func(t *testing.T, b *bench) {
			b.run(time.Minute)
			if got := string(b.take()); !strings.Contains(got, "+WIND:6:") || !strings.Contains(got, "+WIND:1:") {
				t.Errorf("%q", got)
			}
		}},
		{"firmware fault waits for the application", virtlab.Fault{Kind: virtlab.FaultHeap, After: virtlab.Trigger{Time: time.Second}}, func(t *testing.T, b *bench) {
			b.rom()
			b.run(time.Minute)
			if got := b.take(); len(got) != 0 {
				t.Errorf("in the boot ROM: %q", got)
			}
			b.reset()
			b.run(0)
			if got := b.take(); !bytes.Contains(got, []byte("+WIND:4:")) {
				t.Errorf("in the application: %q", got)
			}
		}},
		{"brown-out", virtlab.Fault{Kind: virtlab.FaultBrownOut, After: virtlab.Trigger{Time: time.Minute}}, func(t *testing.T, b *bench) {
			b.run(59 * time.Second)
			if got := b.take(); len(got) != 0 {
				t.Fatalf("too early: %q", got)
			}
			b.run(2 * time.Second)
			if got := b.take(); !bytes.Contains(got, []byte("+WIND:1:")) || bytes.Contains(got, []byte("+WIND:2:")) {
				t.Errorf("brown-out shows %q", got)
			}
		}},
		{"stuck reset", virtlab.Fault{Kind: virtlab.FaultStuckReset}, func(t *testing.T, b *bench) {
			b.reset()
			b.state(virtlab.StateApp)
			if got := b.take(); len(got) != 0 {
				t.Errorf("reset shows %q", got)
			}
			b.line(virtlab.LineReset, virtlab.Low)
			if got := b.send(0, at...); string(got) != "\r\nOK\r\n" {
				t.Errorf("with the stuck line low: %q", got)
			}
		}},
		{"dead", virtlab.Fault{Kind: virtlab.FaultDead, After: virtlab.Trigger{Boot: 1}}, func(t *testing.T, b *bench) {
			b.reset()
			b.run(time.Minute)
			if got := append(b.take(), b.send(time.Minute, at...)...); len(got) != 0 {
				t.Errorf("a dead module says %q", got)
			}
			b.line(virtlab.LineBoot0, virtlab.High)
			b.reset()
			if got := b.send(0, 0x7F); len(got) != 0 {
				t.Errorf("a dead module's ROM says % x", got)
			}
		}},
		{"dropped bytes", virtlab.Fault{Kind: virtlab.FaultDrop, Count: 2}, func(t *testing.T, b *bench) {
			if got := b.send(0, at...); string(got) != "OK\r\n" {
				t.Errorf("%q, want two bytes less", got)
			}
			if got := b.send(0, at...); string(got) != "\r\nOK\r\n" {
				t.Errorf("afterwards %q", got)
			}
		}},
		{"garbled bytes", virtlab.Fault{Kind: virtlab.FaultGarble, Count: 6}, func(t *testing.T, b *bench) {
			got := b.send(0, at...)
			if len(got) != 6 {
				t.Fatalf("%d bytes, want 6", len(got))
			}
			for i := range got {
				if got[i] == "\r\nOK\r\n"[i] {
					t.Errorf("byte %d is as it should be: %q", i, got)
				}
			}
		}},
		{"missing indication", virtlab.Fault{Kind: virtlab.FaultMissing, Indication: number(0)}, func(t *testing.T, b *bench) {
			b.reset()
			got := b.take()
			if bytes.Contains(got, []byte("+WIND:0:")) || !bytes.Contains(got, []byte("+WIND:32:")) {
				t.Errorf("banner %q", got)
			}
		}},
		{"late indication", virtlab.Fault{Kind: virtlab.FaultLate, Indication: number(32), Delay: 7 * time.Second}, func(t *testing.T, b *bench) {
			b.reset()
			if got := b.take(); bytes.Contains(got, []byte("+WIND:32:")) {
				t.Fatalf("not late: %q", got)
			}
			b.run(6900 * time.Millisecond)
			if got := b.take(); len(got) != 0 {
				t.Errorf("too early: %q", got)
			}
			b.run(200 * time.Millisecond)
			if got := b.take(); !bytes.Contains(got, []byte("+WIND:32:")) {
				t.Errorf("never came: %q", got)
			}
		}},
		{"wrong build", virtlab.Fault{Kind: virtlab.FaultWrongBuild, Build: "991231-0ddba11"}, func(t *testing.T, b *bench) {
			b.reset()
			if got := b.take(); !bytes.Contains(got, []byte("Poweron (991231-0ddba11-SPWF01S)")) {
				t.Errorf("banner %q", got)
			}
		}},
		{"never thrown", virtlab.Fault{Kind: virtlab.FaultHang, Probability: 1e-12}, func(t *testing.T, b *bench) {
			if got := b.send(0, at...); string(got) != "\r\nOK\r\n" {
				t.Errorf("%q", got)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, virtlab.Options{Seed: 1})
			b.take()
			if err := b.c.Inject(tt.fault); err != nil {
				t.Fatal(err)
			}
			b.run(0)
			tt.try(t, b)
		})
	}
}

func TestFaultsAreRepeatable(t *testing.T) {
	run := func(seed uint64) []byte {
		b := newBench(t, virtlab.Options{Seed: seed, Faults: []virtlab.Fault{
			{Kind: virtlab.FaultGarble, Probability: 0.1},
			{Kind: virtlab.FaultDrop, Probability: 0.05, After: virtlab.Trigger{Bytes: 100}},
			{Board: "other", Kind: virtlab.FaultDead},
		}})
		b.send(time.Minute, []byte("AT&V\rAT\rAT+S.STS\r")...)
		return b.out
	}
	first, again, other := run(7), run(7), run(8)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same seed gives another run:\n%s", diff)
	}
	if bytes.Equal(first, other) && len(first) > 0 {
		t.Error("another seed gives the same run")
	}
}

func TestFaultProblems(t *testing.T) {
	tests := []struct {
		fault virtlab.Fault
		want  string // "" is no problem
	}{
		{virtlab.Fault{Kind: virtlab.FaultHang}, ""},
		{virtlab.Fault{Kind: "melt"}, `kind "melt"`},
		{virtlab.Fault{Kind: virtlab.FaultDrop, Probability: 1.5}, "probability 1.5"},
		{virtlab.Fault{Kind: virtlab.FaultDrop, After: virtlab.Trigger{Bytes: 1, Boot: 1}}, "only one"},
		{virtlab.Fault{Kind: virtlab.FaultDrop, After: virtlab.Trigger{Bytes: -1}}, "negative"},
		{virtlab.Fault{Kind: virtlab.FaultDrop, Delay: time.Second}, "delay: only for"},
		{virtlab.Fault{Kind: virtlab.FaultDrop, Indication: number(1)}, "indication: only for"},
		{virtlab.Fault{Kind: virtlab.FaultDrop, Build: "x"}, "build: only for"},
		{virtlab.Fault{Kind: virtlab.FaultDrop, Count: -1}, "count -1"},
	}
	for _, tt := range tests {
		err := tt.fault.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v, want %q", tt.fault, err, tt.want)
		}
	}
	_, err := virtlab.New(virtlab.Config{Boards: 2, Faults: []virtlab.Fault{{Board: "vb9", Kind: virtlab.FaultDead}, {Kind: "melt"}}})
	if err == nil || !strings.Contains(err.Error(), "vb9") || !strings.Contains(err.Error(), "melt") {
		t.Errorf("a lab with two bad faults: %v; want both named", err)
	}
}

func TestParseFault(t *testing.T) {
	tests := []struct {
		text string
		want virtlab.Fault
		ok   bool
	}{
		{"hang command=3", virtlab.Fault{Kind: virtlab.FaultHang, After: virtlab.Trigger{Command: 3}}, true},
		{"drop bytes=10 count=2 probability=0.5 seed=9", virtlab.Fault{Kind: virtlab.FaultDrop, After: virtlab.Trigger{Bytes: 10}, Count: 2, Probability: 0.5, Seed: 9}, true},
		{"late_indication indication=55 delay=2s", virtlab.Fault{Kind: virtlab.FaultLate, Indication: number(55), Delay: 2 * time.Second}, true},
		{"wrong_build boot=1 build=991231-0ddba11", virtlab.Fault{Kind: virtlab.FaultWrongBuild, After: virtlab.Trigger{Boot: 1}, Build: "991231-0ddba11"}, true},
		{"brown_out time=1m", virtlab.Fault{Kind: virtlab.FaultBrownOut, After: virtlab.Trigger{Time: time.Minute}}, true},
		{"", virtlab.Fault{}, false},
		{"melt", virtlab.Fault{}, false},
		{"hang soon", virtlab.Fault{}, false},
		{"hang command=x", virtlab.Fault{}, false},
		{"hang when=3", virtlab.Fault{}, false},
	}
	for _, tt := range tests {
		got, err := virtlab.ParseFault(tt.text)
		if (err == nil) != tt.ok {
			t.Errorf("%q: error %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	f.Add("hang command=3")
	f.Add("drop probability=NaN")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := virtlab.ParseFault(s); err == nil && got.Validate() != nil {
			t.Fatalf("%q gives an invalid fault", s)
		}
	})
}
