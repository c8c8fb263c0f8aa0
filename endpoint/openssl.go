package endpoint

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// ErrNoOpenSSL is that the program openssl is not installed.
var ErrNoOpenSSL = errors.New("endpoint: openssl is not installed (not found in PATH); install the package openssl")

// OpenSSLPath finds the program, or gives ErrNoOpenSSL.
func OpenSSLPath() (string, error) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoOpenSSL, err)
	}
	return path, nil
}

// socketName is the process's socket in a folder of its own.
const socketName = "s"

// startLimit bounds the start of one openssl process.
const startLimit = 10 * time.Second

// openSSL is the engine openssl s_server. One process serves one connection
// (-naccept 1) behind a forwarder, which is the witness of what goes over the
// wire; a spare process waits for the next client, so that starting one is not
// part of anybody's handshake. The private key reaches the process through
// memory and never a disk.
type openSSL struct {
	cfg  *Config
	app  application
	path string

	mu     sync.Mutex
	spare  chan *sserver // capacity 1
	closed bool
	wg     sync.WaitGroup
}

func newOpenSSL(ctx context.Context, cfg *Config, app application) (tlsEngine, error) {
	path, err := OpenSSLPath()
	if err != nil {
		return nil, err
	}
	o := &openSSL{cfg: cfg, app: app, path: path, spare: make(chan *sserver, 1)}
	// The first spare is started here, so that a list of suites that openssl
	// does not know is an error of Start.
	p, err := startSServer(ctx, path, cfg)
	if err != nil {
		return nil, err
	}
	o.spare <- p
	return o, nil
}

// take gives the spare process and starts the next one.
func (o *openSSL) take(ctx context.Context) (*sserver, error) {
	var p *sserver
	select {
	case p = <-o.spare:
	default:
		var err error
		if p, err = startSServer(ctx, o.path, o.cfg); err != nil {
			return nil, err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.wg.Go(func() { o.refill(ctx) })
	}
	return p, nil
}

func (o *openSSL) refill(ctx context.Context) {
	p, err := startSServer(ctx, o.path, o.cfg)
	if err != nil {
		return // take tries again and reports it
	}
	select {
	case o.spare <- p:
	default:
		p.end()
	}
}

func (o *openSSL) close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.wg.Wait()
	select {
	case p := <-o.spare:
		p.end()
	default:
	}
	return nil
}

func opensslVersion(v uint16) string {
	return map[uint16]string{0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}[v]
}

// args is the command line but for the files. -brief prints one summary of each
// handshake on stderr and leaves stdout to the application data.
func (c *Config) opensslArgs(socket string) ([]string, error) {
	ciphers, err := c.opensslCiphers()
	if err != nil {
		return nil, err
	}
	args := []string{"s_server", "-unix", socket, "-naccept", "1", "-brief",
		"-no_ticket", "-no_cache", "-no-CAfile", "-no-CApath", "-no-CAstore",
		"-min_protocol", opensslVersion(c.MinVersion), "-max_protocol", opensslVersion(c.MaxVersion),
		"-cipher", ciphers}
	switch c.ClientAuth {
	case ClientAuthRequest:
		args = append(args, "-verify", "8")
	case ClientAuthRequire:
		args = append(args, "-Verify", "8")
	case ClientAuthVerifyIfGiven:
		args = append(args, "-verify", "8", "-verify_return_error")
	case ClientAuthVerify:
		args = append(args, "-Verify", "8", "-verify_return_error")
	}
	if !c.At.IsZero() {
		args = append(args, "-attime", strconv.FormatInt(c.At.Unix(), 10))
	}
	return args, nil
}
