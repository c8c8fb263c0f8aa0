package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/farm/virtlab"
)

// labUpFlags are the flags of lab up.
type labUpFlags struct {
	boards   int
	dir      string
	writeLab string
	seed     uint64
	speed    float64
	pace     bool
	release  string
	faults   string
}

func (p *program) labUpVerb() *cobra.Command {
	var f labUpFlags
	cmd := &cobra.Command{Use: "up", Short: "Serve a virtual lab until Ctrl-C", Args: operands(0, 0),
		Long: "up starts virtual modules whose UARTs any program can open. With --write-lab it\n" +
			"writes a lab file through which hil-runner in other terminals uses them.\n" +
			"A signal ends it with status 0.",
		Example: "  hil-runner lab up --boards 2 --write-lab lab.yaml\n" +
			"  hil-runner lab line vb1 reset assert --lab lab.yaml",
		RunE: verb(func(ctx context.Context, _ []string) error { return p.labUp(ctx, f) })}
	fl := cmd.Flags()
	fl.IntVar(&f.boards, "boards", 4, "how many modules")
	fl.StringVar(&f.dir, "dir", "", "`DIR` for UART links and control sockets; default a\ntemporary one")
	fl.StringVar(&f.writeLab, "write-lab", "", "write a lab `FILE` for other terminals")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the modules")
	fl.Float64Var(&f.speed, "speed", 0, "1 is real time, 10 ten times faster, 0 no delays")
	fl.BoolVar(&f.pace, "pace", false, "let every byte take its time on the line")
	fl.StringVar(&f.release, "release", virtlab.DefaultRelease, "release in the fresh flash")
	fl.StringVar(&f.faults, "faults", "", "YAML `FILE` of faults to inject")
	p.complete(cmd, "release", func(string) []string { return builtInReleases() })
	return cmd
}

// upBoard is one board of lab up, as -o json prints it.
type upBoard struct {
	ID      string `json:"id"`
	UART    string `json:"uart"`
	Control string `json:"control"`
}

func (p *program) labUp(ctx context.Context, f labUpFlags) (err error) {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	if f.dir == "" {
		var temp *scratch
		if temp, err = newScratch(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, temp.Close()) }()
		cfg.Dir = temp.dir
	}
	starting := p.whileSlow("starting %d modules", f.boards)
	lab, err := virtlab.New(cfg)
	starting()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	if f.writeLab != "" {
		if err := writeVirtualLab(f.writeLab, cfg.Dir, lab); err != nil {
			return err
		}
	}
	if err := p.showUp(lab, f); err != nil {
		return err
	}
	p.say("serving %d boards; Ctrl-C ends it", len(lab.Boards()))
	<-ctx.Done()
	// A signal is how this verb ends.
	return nil
}

// config checks the flags and puts the lab together that they describe.
func (f labUpFlags) config() (virtlab.Config, error) {
	switch releases := builtInReleases(); {
	case f.boards < 1 || f.boards > maxVirtual:
		return virtlab.Config{}, &farm.UsageError{Text: fmt.Sprintf("--boards %d: want 1 to %d", f.boards, maxVirtual)}
	case !(f.speed >= 0):
		return virtlab.Config{}, &farm.UsageError{Text: fmt.Sprintf("--speed %v: want 0 or more", f.speed)}
	case !slices.Contains(releases, f.release):
		return virtlab.Config{}, unknownName("virtual release", f.release, releases)
	}
	described, err := builtInLab(f.boards, f.seed)
	if err != nil {
		return virtlab.Config{}, err
	}
	if err := described.inject(f.faults); err != nil {
		return virtlab.Config{}, err
	}
	dir := f.dir
	if dir != "" {
		// Other processes use its paths from wherever they are.
		if dir, err = filepath.Abs(dir); err != nil {
			return virtlab.Config{}, err
		}
	}
	return virtlab.Config{Boards: f.boards, Seed: f.seed, Speed: f.speed, Pace: f.pace,
		Dir: dir, Release: f.release, Faults: described.virtual.Faults}, nil
}

// showUp prints each board once it can be used.
func (p *program) showUp(lab *virtlab.Lab, f labUpFlags) error {
	var boards []upBoard
	var ids []string
	for _, b := range lab.Boards() {
		boards = append(boards, upBoard{b.ID, b.UARTPath, b.ControlPath})
		ids = append(ids, b.ID)
	}
	if p.output == "json" {
		// One line, so that a program can read it while this one goes on.
		return json.NewEncoder(p.out).Encode(boards)
	}
	return p.show(boards, func(w io.Writer) error {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "BOARD\tUART\tCONTROL")
		for _, b := range boards {
			fmt.Fprintf(t, "%s\t%s\t%s\n", b.ID, b.UART, b.Control)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if f.writeLab != "" {
			_, err := fmt.Fprintf(w, "\nlab file %s: use it with hil-runner run --lab %s --boards %d\n", f.writeLab, f.writeLab, len(boards))
			return err
		}
		return nil
	}, ids)
}

// writeVirtualLab describes a served lab the way that a real one is described.
// The passphrase of its access point lies beside the sockets: a lab file holds
// no secrets.
func writeVirtualLab(path, dir string, lab *virtlab.Lab) error {
	access := virtlab.DefaultAccess()
	psk := filepath.Join(dir, "psk")
	if err := os.WriteFile(psk, []byte(access.PSK+"\n"), 0o600); err != nil {
		return fmt.Errorf("lab up: %w", err)
	}
	file := &farm.LabFile{Lab: "virtual lab",
		Firmware: farm.LabFirmware{Release: defaultRelease},
		Network:  farm.LabNetwork{SSID: access.SSID, PSK: farm.NewSecret("file:"+psk, access.PSK), EndpointAddress: virtlab.HostAddress}}
	for _, b := range lab.Boards() {
		line := func(role string) *farm.LineAddress {
			return &farm.LineAddress{Address: "sock:" + b.ControlPath + "#" + role}
		}
		file.Boards = append(file.Boards, farm.LabBoard{ID: b.ID, Port: b.UARTPath, Net: "sock:" + b.ControlPath, Virtual: true,
			Tags:  map[string]string{"kind": "virtual"},
			Lines: farm.LabLines{Reset: line("reset"), Boot0: line("boot0"), GPIO0: line("gpio0"), Power: line("power")}})
	}
	return farm.WriteLab(path, file)
}
