package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hil-runner/fixtures/certs"
)

// sserver is one running openssl s_server with the connection to it.
type sserver struct {
	cmd    *exec.Cmd
	conn   *net.UnixConn
	stdin  *os.File // held open: at its end s_server would go
	stdout *os.File
	stderr *os.File

	gone  chan struct{} // closed when the process has been waited for
	owner sync.WaitGroup
	once  sync.Once
}

// start starts the process from a thread that stays until the process is gone.
// The kernel kills the process when that thread dies, and so with this process,
// however it ends.
func (p *sserver) start() error {
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.gone = make(chan struct{})
	started := make(chan error, 1)
	p.owner.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			<-p.gone
		}
	})
	if err := <-started; err != nil {
		p.owner.Wait()
		return err
	}
	return nil
}

// stop kills the process and waits for it. s_server has no children, so that
// there is no group to kill.
func (p *sserver) stop() {
	p.once.Do(func() {
		if p.conn != nil {
			p.conn.Close()
		}
		_ = p.cmd.Process.Kill() // it may have gone by itself
		_ = p.cmd.Wait()         // its exit status says nothing
		close(p.gone)
		p.owner.Wait()
	})
}

// end stops the process and closes its streams.
func (p *sserver) end() {
	p.stop()
	p.closePipes()
}

// startSServer starts one process and connects to it. ctx bounds the start and
// kills the process when it ends.
func startSServer(ctx context.Context, path string, cfg *Config) (*sserver, error) {
	dir, err := os.MkdirTemp("", "hil-openssl-")
	if err != nil {
		return nil, fmt.Errorf("endpoint: openssl: %w", err)
	}
	// Once connected nobody needs the socket's name any more.
	defer os.RemoveAll(dir)
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("endpoint: openssl: %w", err)
	}
	defer folder.Close()
	args, err := cfg.opensslArgs(socketName)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	// A socket's path has at most 107 bytes, which temporary folders exceed: both
	// sides reach it from the folder.
	cmd.Dir = dir
	socket := fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), socketName)
	// The machine's openssl.cnf must not change what is served.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "OPENSSL_CONF=/dev/null", "LC_ALL=C"}
	var files fileSet
	defer files.close()
	if err := files.credentials(cmd, cfg); err != nil {
		return nil, err
	}
	p := &sserver{cmd: cmd}
	if err := p.pipes(&files); err != nil {
		return nil, err
	}
	err = p.start()
	files.close() // the process has its own, and must be alone to hold its streams
	if err != nil {
		p.closePipes()
		return nil, fmt.Errorf("endpoint: openssl: %w", err)
	}
	if err := p.connect(ctx, socket); err != nil {
		p.stop()
		said := firstLines(p.stderr)
		p.closePipes()
		return nil, fmt.Errorf("endpoint: openssl s_server did not start: %w: it said %q", err, said)
	}
	return p, nil
}

func (p *sserver) closePipes() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// pipes gives the process its three streams. They are made by hand because
// exec's own pipes are closed by Wait, which here comes before the last read.
func (p *sserver) pipes(files *fileSet) error {
	for _, stream := range []struct {
		ours   **os.File
		theirs func(*os.File)
		input  bool
	}{
		{&p.stdin, func(f *os.File) { p.cmd.Stdin = f }, true},
		{&p.stdout, func(f *os.File) { p.cmd.Stdout = f }, false},
		{&p.stderr, func(f *os.File) { p.cmd.Stderr = f }, false},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			p.closePipes()
			return fmt.Errorf("endpoint: openssl: %w", err)
		}
		if stream.input {
			r, w = w, r
		}
		*stream.ours = r
		stream.theirs(w)
		files.add(w)
	}
	return nil
}

// connect waits until the process listens. There is nothing to wait on but the
// socket itself, so it is tried until it answers or the process ends.
func (p *sserver) connect(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", socket)
		if err == nil {
			p.conn = conn.(*net.UnixConn) // by the network's name
			return nil
		}
		var info unix.Siginfo
		gone := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == nil && info.Signo != 0
		if gone {
			return errors.New("it ended")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// firstLines reads what a process that has ended left on its stderr.
func firstLines(f *os.File) string {
	if f.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return ""
	}
	buf := make([]byte, 1024)
	n, _ := f.Read(buf) // nothing is an answer too
	return string(buf[:n])
}

// fileSet holds files that are handed to a process and then closed here.
type fileSet struct{ files []*os.File }

func (s *fileSet) add(f *os.File) { s.files = append(s.files, f) }

func (s *fileSet) close() {
	for _, f := range s.files {
		f.Close() // closing twice is no harm
	}
}

// credentials hands over chain, key and roots as files in memory.
func (s *fileSet) credentials(cmd *exec.Cmd, cfg *Config) error {
	give := func(flag string, data []byte) error {
		f, err := memoryFile(flag, data)
		if err != nil {
			return err
		}
		s.add(f)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		cmd.Args = append(cmd.Args, flag, fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles)))
		return nil
	}
	if cfg.Identity.IsZero() {
		cmd.Args = append(cmd.Args, "-nocert")
	} else {
		key, err := cfg.Identity.KeyPEM()
		if err != nil {
			return err
		}
		errs := []error{give("-cert", cfg.Identity.LeafPEM()), give("-key", key)}
		if len(cfg.Identity.Chain) > 1 {
			errs = append(errs, give("-cert_chain", certs.EncodePEM(cfg.Identity.Chain[1:]...)))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	if len(cfg.ClientRoots) > 0 {
		return give("-CAfile", certs.EncodePEM(cfg.ClientRoots...))
	}
	return nil
}

func memoryFile(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("hil"+name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("endpoint: memory for openssl: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, fmt.Errorf("endpoint: memory for openssl: %w", err)
	}
	return f, nil
}
