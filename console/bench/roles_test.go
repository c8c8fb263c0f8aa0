package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"

	"hil-runner/console"
	"hil-runner/recorder"
)

// play is a child process. It prints "ready", then what the role asks for, and
// ends when its input does.
func play(role string, args []string) error {
	switch role {
	case "capture":
		return capture(args)
	}
	return fmt.Errorf("unknown role %q", role)
}

// counted is a sink that tells when enough has come.
type counted struct {
	console.Sink
	left *atomic.Int64
	done chan struct{}
}

func (c counted) Received(p []byte) error {
	err := c.Sink.Received(p)
	if left := c.left.Add(-int64(len(p))); left <= 0 && left+int64(len(p)) > 0 {
		close(c.done)
	}
	return err
}

// OnWait passes on what the embedded interface hides.
func (c counted) OnWait(f func()) func() {
	return c.Sink.(interface{ OnWait(func()) func() }).OnWait(f)
}

// capture records ports until n bytes have come in all, or with n 0 until the
// input ends: args are a folder, n, an expression to expect on the first port or "", and the ports.
func capture(args []string) (err error) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	loop, err := console.NewLoop()
	if err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(n)
	done := make(chan struct{})
	var closers []io.Closer
	var expected chan error
	for i, path := range args[3:] {
		j, err := recorder.Create(filepath.Join(args[0], strconv.Itoa(i)), recorder.Options{Board: strconv.Itoa(i)})
		if err != nil {
			return err
		}
		if i == 0 && args[2] != "" {
			expected = expect(j, args[2])
		}
		p, err := console.Open(path, console.Mode{Baud: 921600}, counted{console.Record(j), &left, done}, console.Options{Loop: loop})
		if err != nil {
			return err
		}
		closers = append(closers, p, j)
	}
	fmt.Println("ready")
	if n > 0 {
		<-done
		fmt.Println("done")
	}
	if expected != nil {
		if err := <-expected; err != nil {
			return err
		}
	}
	io.Copy(io.Discard, os.Stdin)
	for _, c := range closers {
		err = errors.Join(err, c.Close())
	}
	return errors.Join(err, loop.Close())
}

// expect waits on a journal for a line that an expression matches.
func expect(j *recorder.Journal, expr string) chan error {
	found := make(chan error, 1)
	go func() {
		_, _, err := console.Expect(context.Background(), j, 0, console.Pattern{Name: "it", Expr: regexp.MustCompile(expr)})
		found <- err
	}()
	return found
}
