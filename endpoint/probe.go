package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"hil-runner/fixtures/certs"
)

// Stage is a step on the way to a live endpoint.
type Stage string

// The stages in order.
const (
	StageDNS  Stage = "dns"
	StageTCP  Stage = "tcp"
	StageTLS  Stage = "tls"
	StageHTTP Stage = "http"
)

// Unreachable is the code of the skip that follows from a failed probe.
const Unreachable = "amazon_unreachable"

// Resolver looks names up; net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// ProbeConfig describes a probe of the live token service. Nothing is sent
// anywhere before Probe is called.
type ProbeConfig struct {
	// Host and Port default to api.amazon.com and 443.
	Host string
	Port int
	// UserAgent names the lab and is required: the other side may ask who this is.
	UserAgent string
	// Budget is required and shared with everybody who sends live requests.
	Budget *Budget
	// Resolver and Dialer default to the host's own.
	Resolver Resolver
	Dialer   Dialer
	// Roots replaces the public roots that ship with the lab. What is reached
	// with others never counts as Amazon.
	Roots []certs.Root
	// Tries is how often the whole way is tried, 3 by default; Pause is the
	// time between two tries and StageLimit bounds each stage, 2 s and 10 s by
	// default.
	Tries             int
	Pause, StageLimit time.Duration
}

// ProbeResult is what the host found on its way to the endpoint.
type ProbeResult struct {
	Host string    `json:"host"`
	At   time.Time `json:"at"`
	// Tried counts the tries that were made.
	Tried int `json:"tried"`
	// Reached is that every stage worked in the last try.
	Reached bool `json:"reached"`
	// Failed and Detail say where and why the last try ended otherwise.
	Failed    Stage        `json:"failed,omitempty"`
	Detail    string       `json:"detail,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	Address   string       `json:"address,omitempty"`
	// Chain is what the server sent, verified or not; ChainPEM is the same to
	// be kept with the run, and CertificateMessage its size on the wire.
	Chain              []*x509.Certificate `json:"-"`
	ChainPEM           string              `json:"chain_pem,omitempty"`
	CertificateMessage int                 `json:"certificate_message,omitempty"`
	// Root is the root that this chain needs: what belongs into f_ca.
	Root     *certs.Root `json:"-"`
	RootName string      `json:"root,omitempty"`
	Version  uint16      `json:"version,omitempty"`
	Suite    uint16      `json:"suite,omitempty"`
	Status   int         `json:"status,omitempty"`
	// Kind is what the server proved: amazon-live or something less.
	Kind Kind `json:"kind"`
}

// SkipReason is the cause with which cases against the live endpoint are
// skipped, empty if it was reached.
func (r ProbeResult) SkipReason() string {
	if r.Reached {
		return ""
	}
	return Unreachable + ": " + r.SkipDetail()
}

// SkipDetail is SkipReason without its code.
func (r ProbeResult) SkipDetail() string {
	return fmt.Sprintf("stage=%s, %s, at=%s, tried=%d", r.Failed, r.Detail, r.At.UTC().Format(time.RFC3339), r.Tried)
}

func (c *ProbeConfig) complete() error {
	if c.UserAgent == "" || c.Budget == nil {
		return errors.New("endpoint: a probe needs a UserAgent that names the lab, and a Budget")
	}
	if c.Host == "" {
		c.Host = certs.AmazonHost
	}
	setDefault(&c.Port, 443)
	setDefault(&c.Tries, 3)
	setDefault(&c.Pause, 2*time.Second)
	setDefault(&c.StageLimit, 10*time.Second)
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Dialer == nil {
		c.Dialer = &net.Dialer{}
	}
	if c.Roots == nil {
		c.Roots = shippedRoots()
	}
	return nil
}

// Probe goes the way to the endpoint from this host: DNS, TCP, TLS with the
// chain verified, and one HTTP request by an unknown client that has to be
// refused. That the endpoint cannot be reached is a result and not an error;
// errors are ctx's end, ErrBudget, and a wrong configuration.
func Probe(ctx context.Context, cfg ProbeConfig) (ProbeResult, error) {
	if err := cfg.complete(); err != nil {
		return ProbeResult{}, err
	}
	var res ProbeResult
	for try := 1; try <= cfg.Tries; try++ {
		if try > 1 {
			if err := wait(ctx, cfg.Pause); err != nil {
				return res, err
			}
		}
		t := trial{cfg: &cfg}
		t.res = ProbeResult{Host: cfg.Host, At: time.Now(), Tried: try, Kind: KindUnknown}
		stop, err := t.run(ctx)
		res = t.res
		if err != nil || res.Reached || stop {
			return res, err
		}
	}
	return res, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// trial is one try.
type trial struct {
	cfg   *ProbeConfig
	res   ProbeResult
	conn  net.Conn
	tls   *tls.Conn
	stops bool // the endpoint asked for silence
}

// run takes the stages in order; stop means that another try is not welcome.
func (t *trial) run(ctx context.Context) (stop bool, err error) {
	defer func() {
		if t.conn != nil {
			t.conn.Close()
		}
	}()
	for _, s := range []struct {
		stage Stage
		do    func(context.Context) error
	}{{StageDNS, t.dns}, {StageTCP, t.tcp}, {StageTLS, t.handshake}, {StageHTTP, t.http}} {
		if s.stage == StageTCP {
			// From here on the endpoint itself is bothered.
			if err := t.cfg.Budget.Take(ctx); err != nil {
				t.res.Failed, t.res.Detail = s.stage, err.Error()
				return true, err
			}
		}
		limited, cancel := context.WithTimeout(ctx, t.cfg.StageLimit)
		err := s.do(limited)
		cancel()
		if ctx.Err() != nil {
			return true, fmt.Errorf("endpoint: probe of %s: %w", t.cfg.Host, ctx.Err())
		}
		if err != nil {
			t.res.Failed, t.res.Detail = s.stage, err.Error()
			return t.stops, nil
		}
	}
	t.res.Reached = true
	return true, nil
}

func (t *trial) dns(ctx context.Context) error {
	addrs, err := t.cfg.Resolver.LookupNetIP(ctx, "ip", t.cfg.Host)
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		return fmt.Errorf("the name %s has no address", t.cfg.Host)
	}
	t.res.Addresses = addrs
	return nil
}

func (t *trial) tcp(ctx context.Context) error {
	var errs []error
	for _, addr := range t.res.Addresses[:min(4, len(t.res.Addresses))] {
		address := net.JoinHostPort(addr.Unmap().String(), strconv.Itoa(t.cfg.Port))
		conn, err := t.cfg.Dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			t.conn, t.res.Address = conn, address
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (t *trial) handshake(ctx context.Context) error {
	t.tls = tls.Client(t.conn, &tls.Config{
		ServerName: t.cfg.Host,
		MinVersion: tls.VersionTLS12,
		// Verified by root, so that a chain that is refused is kept too.
		InsecureSkipVerify: true,
	})
	if err := t.tls.HandshakeContext(ctx); err != nil {
		return err
	}
	state := t.tls.ConnectionState()
	t.res.Version, t.res.Suite = state.Version, state.CipherSuite
	t.res.Chain = state.PeerCertificates
	t.res.ChainPEM = string(certs.EncodePEM(state.PeerCertificates...))
	t.res.CertificateMessage = certs.NewIdentity(nil, state.PeerCertificates...).MessageSize()
	t.res.Kind = KindOf(proofOf(state, t.cfg.Host), nil)
	root, err := RootFor(state.PeerCertificates, t.cfg.Host, time.Now(), t.cfg.Roots)
	if err != nil {
		return err
	}
	t.res.Root, t.res.RootName = &root, root.Name
	return nil
}

func (t *trial) http(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = t.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := t.tls.Write(TokenRequest(t.cfg.Host, t.cfg.UserAgent)); err != nil {
		return err
	}
	var err error
	t.res.Status, err = readTokenAnswer(t.tls)
	if t.res.Status == 429 || t.res.Status == 503 {
		t.stops = true
		reason := fmt.Sprintf("%s answered %d at %s", t.cfg.Host, t.res.Status, t.res.At.UTC().Format(time.RFC3339))
		return errors.Join(err, t.cfg.Budget.Stop(reason))
	}
	return err
}

// RootFor finds, among the given roots, the one that a client needs to verify
// chain, leaf first, for name at the time at: the one with the shortest way to
// the leaf, because a client that stops at it need not understand the rest.
func RootFor(chain []*x509.Certificate, name string, at time.Time, roots []certs.Root) (certs.Root, error) {
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r.Certificate)
	}
	ways, err := verifyChain(chain, pool, name, at)
	if err != nil {
		last := ""
		if n := len(chain); n > 0 {
			last = fmt.Sprintf(" (the last certificate sent was issued by %.200q)", chain[n-1].Issuer.String())
		}
		return certs.Root{}, fmt.Errorf("endpoint: no root that ships with the lab verifies the chain%s: %w", last, err)
	}
	var found certs.Root
	best := 0
	for _, r := range roots {
		for _, way := range ways {
			if way[len(way)-1].Equal(r.Certificate) && (best == 0 || len(way) < best) {
				found, best = r, len(way)
			}
		}
	}
	return found, nil
}
