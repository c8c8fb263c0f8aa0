package spec

import (
	"context"
	"time"

	"hil-runner/spwf"
)

// limits hands the board's own limits to the driver.
func (e *Env) limits() spwf.Limits {
	l := e.Bench.Board.Limits
	return spwf.Limits{Command: l.Command, Banner: l.Banner, Boot: l.Boot, Join: l.Join}
}

// Restart pulses reset, follows the start of the module until its radio runs,
// and gives the build of its banner.
func (s *Spec) Restart(ctx context.Context) spwf.Build {
	if s.Env.Bench.Reset == nil {
		s.Skip("no_reset_line", "board "+s.Env.Bench.Board.ID+" has no reset line in the lab file")
	}
	s.Must(s.Module.Forget(ctx), "take what the module has said so far")
	s.Must(s.Env.Bench.Reset.Reset(ctx, 0), "reset the module")
	build, err := s.Module.Boot(ctx)
	s.Must(err, "follow the start of the module")
	return build
}

// Online restarts the module and brings it onto the lab's Wi-Fi. It gives the
// module's address.
func (s *Spec) Online(ctx context.Context) string {
	s.Restart(ctx)
	return s.Join(ctx)
}

// Join brings a module whose radio runs onto the lab's Wi-Fi.
func (s *Spec) Join(ctx context.Context) string {
	wifi := s.Env.Task.WiFi
	if wifi.SSID == "" {
		s.Skip("no_network", "the lab file names no network.ssid")
	}
	security := spwf.WPA
	if wifi.PSK == "" {
		security = spwf.OpenNetwork
	}
	address, err := s.Module.Join(ctx, wifi.SSID, wifi.PSK, security)
	s.Must(err, "bring the module online")
	return address.String()
}

// Now is the time that modules are set to: this host's.
func (s *Spec) Now() time.Time { return time.Now().UTC() }
