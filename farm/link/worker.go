package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Worker says how to start a worker process.
type Worker struct {
	// Exe and Args are the program; it finds its link by Inherited.
	Exe  string
	Args []string
	// Env is the whole environment.
	Env []string
	// Output takes what the worker prints, up to the caller's own bound; nil
	// drops it. It is written to by one goroutine.
	Output io.Writer
	// Grace is how long a worker may live after its link was closed before
	// its process group is killed.
	Grace time.Duration
}

// Run starts a worker, serves it the bench, and returns when the process has
// ended and what was left of its group was killed. Its exit status is no verdict: the error says only
// how the link ended; what the worker found out is in the journal.
func (w Worker) Run(ctx context.Context, s *Share) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c, err := w.start()
	if err != nil {
		return fmt.Errorf("board %s: start worker %s: %w", s.Bench.Board.ID, w.Exe, err)
	}
	err = s.Serve(ctx, c.link)
	c.end(w.Grace)
	return err
}

// child is a worker that runs.
type child struct {
	cmd    *exec.Cmd
	link   *net.UnixConn
	output *os.File // our end of what it prints; nil when nobody copies it
	exited chan struct{}
	copied chan struct{}
	minder sync.WaitGroup
}

// start starts the process and what minds it.
func (w Worker) start() (*child, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := &child{cmd: exec.Command(w.Exe, w.Args...), link: ours, exited: make(chan struct{}), copied: make(chan struct{})}
	// Not nil: that would be the environment of this process.
	c.cmd.Env = append([]string{}, w.Env...)
	c.cmd.ExtraFiles = []*os.File{theirs}
	// Its own group: a Ctrl-C at the terminal reaches the owner only, and
	// the owner can end grandchildren that hold pipes open.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	closeChildEnd, err := c.connect(w.Output)
	if err == nil {
		err = c.cmd.Start()
		closeChildEnd()
	}
	if err != nil {
		if c.output != nil {
			c.output.Close()
		}
		return nil, errors.Join(err, ours.Close())
	}
	c.minder.Go(c.mind)
	go c.copy(w.Output)
	return c, nil
}

// connect makes the way of what the worker prints. Waiting for the process
// must not wait for those who hold its output open, so a pipe is ours to close.
func (c *child) connect(to io.Writer) (closeChildEnd func(), err error) {
	if f, ok := to.(*os.File); ok || to == nil {
		if f != nil {
			c.cmd.Stdout, c.cmd.Stderr = f, f
		}
		return func() {}, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.output, c.cmd.Stdout, c.cmd.Stderr = r, w, w
	return func() { w.Close() }, nil
}

// copy hands on what the worker prints.
func (c *child) copy(to io.Writer) {
	defer close(c.copied)
	if c.output == nil {
		return
	}
	// A writer that takes no more must not stop the worker.
	if _, err := io.Copy(to, c.output); err != nil {
		_, _ = io.Copy(io.Discard, c.output)
	}
}

// mind waits for the end of the process, without reaping it: as long as it is
// a zombie nobody else can get its group's number. Then it kills what is left
// of the group and ends the link behind what the worker had sent, whoever
// still holds the other end.
func (c *child) mind() {
	defer close(c.exited)
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.kill()
	// It fails only when the link is closed already.
	_ = c.link.CloseRead()
}

// kill kills the group. ESRCH means that nothing is left, which is what we
// want.
func (c *child) kill() { _ = unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL) }

// end waits for the worker to leave by itself, kills it when it does not, and
// waits until nothing of it is left.
func (c *child) end(grace time.Duration) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.exited:
	case <-timer.C:
		c.kill()
	}
	c.minder.Wait()
	// The status is of no interest: see Run.
	_ = c.cmd.Wait()
	c.endOutput(grace)
}

// endOutput waits for the last of what was printed. A grandchild that left the
// group may hold the pipe open; it is not waited for.
func (c *child) endOutput(grace time.Duration) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.copied:
	case <-timer.C:
	}
	if c.output != nil {
		c.output.Close()
	}
	<-c.copied
}
