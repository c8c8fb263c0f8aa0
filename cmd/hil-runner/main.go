// Command hil-runner drives a lab of Wi-Fi modules: it power-cycles them,
// flashes firmware, runs suites over their TLS modes, and keeps every board's
// serial log.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"hil-runner/farm"
)

func main() {
	// A reader that goes away (`run | head -1`) must not end the process
	// before the boards are parked.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program: it carries args out and gives the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, signalled, stop := untilSignal(ctx)
	defer stop()
	p := &program{in: in, out: out, err: errOut, signalled: signalled}
	err := p.execute(ctx, args)
	if err != nil && signalled() != "" && !errors.As(err, new(*farm.ExitError)) {
		// Whatever the signal broke, the signal is why.
		err = &farm.Interrupted{Signal: signalled()}
	}
	return p.exit(err)
}

// untilSignal ends the context at the first INT, TERM or HUP and says which
// one it was. A second one ends the process the hard way: the boards then
// wait for the next start to be parked.
func untilSignal(parent context.Context) (ctx context.Context, signalled func() string, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var name atomic.Value
	done, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		select {
		case s := <-signals:
			name.Store(signalName(s))
			cancel(&farm.Interrupted{Signal: signalName(s)})
		case <-done:
			return
		}
		select {
		case <-signals:
			os.Exit(int(farm.ExitInterrupted))
		case <-done:
		}
	}()
	signalled = func() string {
		s, _ := name.Load().(string)
		return s
	}
	stop = func() {
		signal.Stop(signals)
		close(done)
		<-left
		cancel(nil)
	}
	return ctx, signalled, stop
}

// signalName is the short name that people type.
func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGINT:
		return "INT"
	case syscall.SIGTERM:
		return "TERM"
	case syscall.SIGHUP:
		return "HUP"
	}
	return s.String()
}
