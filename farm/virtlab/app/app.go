package app

import (
	"context"
	"crypto/tls"
	"io"
	"time"
)

// App is one run of the firmware: from a reset to the next one. It lives on
// its host's loop; none of its methods may be called from elsewhere.
type App struct {
	host Host
	p    Profile

	life    int // counts Boot: what an earlier life left behind is ignored
	console console
	config  *settings
	radio   radio
	clock   clock
	sockets []*socket
	slots   map[string][]byte // RAM slots
	server  *server
	files   []ramFile
	gpio    [gpioPins]pin
	started time.Duration // Host.Now at Boot
	cold    bool
	nvOpen  bool // NVW has unlocked the factory's variables
	httpd   bool
	exiting bool // a restart has been asked for
}

// New makes the firmware of profile p on host h. It does nothing until Boot.
func New(h Host, p Profile) *App {
	a := &App{host: h, p: bounded(p)}
	a.console.commands = commands(a.p)
	return a
}

// bounded keeps a hostile profile from asking for unreasonable amounts.
func bounded(p Profile) Profile {
	p.Console.MaxLine = min(max(p.Console.MaxLine, 64), 4096)
	p.Console.Input = min(max(p.Console.Input, 256), 1<<20)
	p.Sockets.Max = min(max(p.Sockets.Max, 0), 64)
	p.Sockets.Buffer = min(max(p.Sockets.Buffer, 256), 1<<20)
	p.Sockets.Clients = min(max(p.Sockets.Clients, 0), 16)
	p.TLS.SlotLimit = min(max(p.TLS.SlotLimit, 0), 1<<16-1)
	p.TLS.DomainLimit = min(max(p.TLS.DomainLimit, 0), 1024)
	p.HTTP.StageSize = min(max(p.HTTP.StageSize, 0), 4<<20)
	p.HTTP.MaxResponse = max(p.HTTP.MaxResponse, 0)
	for _, d := range []*time.Duration{&p.Limits.Resolve, &p.Limits.Connect,
		&p.Limits.Handshake, &p.Limits.Write} {
		if *d <= 0 || *d > 10*time.Minute {
			*d = 10 * time.Second
		}
	}
	return p
}

// Profile is the behaviour that the firmware was made with.
func (a *App) Profile() Profile { return a.p }

// Boot starts the firmware. cold says that power has just come on, so that
// there is no noise of a reset; gpio0High asks for the factory reset. All that
// lives in RAM is gone: clock, RAM slots, sockets, files.
func (a *App) Boot(cold bool, gpio0High bool) {
	a.halt()
	a.cold = cold
	a.started = a.host.Now()
	a.clock = clock{}
	a.slots = map[string][]byte{}
	a.sockets = make([]*socket, a.p.Sockets.Max)
	a.files, a.nvOpen, a.httpd, a.exiting = nil, false, false, false
	a.gpio = [gpioPins]pin{}
	a.radio = radio{}
	commands := a.console.commands
	a.console = console{commands: commands}

	if gpio0High {
		a.factoryReset()
	}
	updated := a.loadSettings()
	a.host.SetBaud(a.config.number("console1_speed"))
	a.console.mute = a.p.Console.NoFlowControl && a.config.number("console1_hwfc") == 1
	if !cold && len(a.p.Boot.Noise) > 0 {
		a.print(a.p.Boot.Noise)
	}
	a.after(a.p.Timing.PowerOn, func() { a.powerOn(gpio0High, updated) })
}

// halt ends what the life before has going.
func (a *App) halt() {
	a.life++
	for _, s := range a.sockets {
		if s != nil {
			s.end()
		}
	}
	if a.server != nil {
		a.server.end()
		a.server = nil
	}
}

// powerOn prints the banner and starts console and radio.
func (a *App) powerOn(factory, updated bool) {
	a.wind(windPoweron, "Poweron ("+a.p.Version()+")")
	a.wind(windCopyright, a.config.get("nv_manuf")+" "+a.config.get("nv_model")+" IWM: "+a.p.Copyright)
	if factory {
		a.wind(windFactory, "HW Factory Reset (GPIO0 High)")
	}
	if a.p.Boot.ShowStart {
		a.wind(windWatchdog, "Watchdog Running")
	}
	wait := a.p.Timing.Console
	if !a.p.Boot.KeyAfterConsole {
		wait += a.crunch()
	}
	a.after(wait, func() {
		a.console.active = true
		if a.p.Boot.ShowStart {
			a.wind(windConsole, "Console active")
		}
		if updated {
			a.wind(windUpdatedConfig, "System Configuration Updated (Run AT&W to Save it)")
		}
		a.radioOn()
	})
}

// factoryReset is what GPIO0 high does at the start: the saved configuration
// and the external flash, a staged image included, are erased.
func (a *App) factoryReset() {
	areas := []Area{AreaConfig, AreaStage, AreaFiles}
	if a.p.Boot.FactoryClearsTLS {
		areas = append(areas, AreaTLS)
	}
	for _, area := range areas {
		// A flash that cannot be erased shows itself as the old content.
		_ = a.host.Area(area).Save(nil)
	}
}

// restart ends this life from inside. The host calls nothing of it any more.
func (a *App) restart(reason ResetReason) {
	if a.exiting {
		return
	}
	a.halt()
	a.exiting = true
	a.console.active = false
	a.host.Reset(reason)
}

// after runs f once d of module time has passed, in this life only.
func (a *App) after(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	life := a.life
	a.host.After(d, func() {
		if a.life == life {
			f()
		}
	})
}

// work runs f beside the loop and then, in this life only, what it returns.
func (a *App) work(f func(ctx context.Context) func()) {
	life := a.life
	a.host.Go(func(ctx context.Context) func() {
		done := f(ctx)
		return func() {
			if a.life == life && done != nil {
				done()
			}
		}
	})
}

// keep closes c when the module restarts before the loop has taken it over
// with the function it returns. It is for what is opened beside the loop.
func keep(ctx context.Context, c io.Closer) (taken func()) {
	// Nobody is left to hear how a close went.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return func() { stop() }
}

// guard closes c when stop is closed or the module restarts.
func (a *App) guard(stop <-chan struct{}, c io.Closer, closed func()) {
	a.work(func(ctx context.Context) func() {
		select {
		case <-stop:
		case <-ctx.Done():
			if secure, ok := c.(*tls.Conn); ok {
				c = secure.NetConn() // a reset says no farewell
			}
		}
		// What a peer that is gone says to the farewell does not matter.
		_ = c.Close()
		return closed
	})
}

// pause runs f after d of real time: for what must not repeat without end in
// a lab whose module time costs nothing.
func (a *App) pause(d time.Duration, f func()) {
	a.work(func(ctx context.Context) func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return f
		case <-ctx.Done():
			return nil
		}
	})
}

// clock is the module's idea of the time of day: seconds from its start until
// SETTIME tells better. It is lost with every reset.
type clock struct {
	set bool
	at  time.Duration // Host.Now when it was set
	now int64         // Unix seconds at that moment
}

// unix is the module's time in Unix seconds.
func (a *App) unix() int64 {
	if !a.clock.set {
		return int64((a.host.Now() - a.started) / time.Second)
	}
	return a.clock.now + int64((a.host.Now()-a.clock.at)/time.Second)
}
