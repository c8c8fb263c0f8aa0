package endpoint_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

// children are the processes of the given name that this process has started.
func children(t *testing.T, name string) map[int]string {
	t.Helper()
	found := make(map[int]string)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // gone meanwhile
		}
		// pid (comm) state ppid ...
		fields := strings.Fields(string(stat))
		if len(fields) < 4 || fields[1] != "("+name+")" || fields[3] != strconv.Itoa(os.Getpid()) {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		found[pid] = string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
	}
	return found
}

// The key shows up in no file and no list of processes, and nothing is left.
func TestOpenSSLIsCleanedUp(t *testing.T) {
	needOpenSSL(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	l := openLab(t)
	id := l.leaf(t, certs.LeafOptions{})
	before := len(children(t, "openssl"))
	s := serve(t, endpoint.Config{Engine: endpoint.EngineOpenSSL, Identity: id})
	if _, err := endpoint.Control(soon(t), s, endpoint.ClientConfig{ServerName: host}); err != nil {
		t.Fatal(err)
	}
	running := children(t, "openssl")
	if len(running) == before {
		t.Error("no process was found, so that nothing is tested here")
	}
	key, err := id.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	part := string(bytes.Split(key, []byte("\n"))[3])
	for pid, args := range running {
		if strings.Contains(args, part) {
			t.Errorf("the arguments of process %d have the key", pid)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := children(t, "openssl"); len(left) > before {
		t.Errorf("processes are left: %v", left)
	}
	err = filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if path != dir {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenSSLCiphers(t *testing.T) {
	needOpenSSL(t)
	l := openLab(t)
	_, err := endpoint.Start(t.Context(), endpoint.Config{Engine: endpoint.EngineOpenSSL,
		Identity: l.leaf(t, certs.LeafOptions{}), OpenSSLCiphers: "NO-SUCH-SUITE"})
	if err == nil || !strings.Contains(err.Error(), "cipher") {
		t.Errorf("an unknown list of ciphers gave %v, want openssl's own words", err)
	}
	// Anonymous Diffie-Hellman needs no certificate and no client of Go's.
	s := serve(t, endpoint.Config{Engine: endpoint.EngineOpenSSL, OpenSSLCiphers: "ADH:@SECLEVEL=0"})
	if _, err := endpoint.Dial(soon(t), s.Addr(), endpoint.ClientConfig{ServerName: host}); err == nil {
		t.Error("crypto/tls spoke ADH")
	}
	c, err := s.WaitConnection(soon(t), closed)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict() != endpoint.VerdictServerRefused || c.AlertsSent[0].Code != endpoint.AlertHandshakeFailure {
		t.Errorf("the server saw %s", c)
	}
	if endpoint.SuiteText(0x0303, endpoint.SuiteRSAAES256SHA256) != "TLS 1.2 TLS_RSA_WITH_AES_256_CBC_SHA256" {
		t.Error("SuiteText")
	}
}

func TestOpenSSLMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := endpoint.Start(t.Context(), endpoint.Config{Engine: endpoint.EngineOpenSSL, OpenSSLCiphers: "ADH"})
	if !errors.Is(err, endpoint.ErrNoOpenSSL) || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("without the program: %v", err)
	}
}

// abandonEnv marks the process that is killed in the middle of its work.
const abandonEnv = "HIL_ENDPOINT_ABANDON"

// Whoever dies takes the processes along, at any moment of their starting too.
func TestOpenSSLDiesWithItsOwner(t *testing.T) {
	needOpenSSL(t)
	if mark := os.Getenv(abandonEnv); mark != "" {
		seconds, err := strconv.ParseInt(mark, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		for {
			s, err := endpoint.Start(t.Context(), endpoint.Config{Engine: endpoint.EngineOpenSSL,
				OpenSSLCiphers: "ADH:@SECLEVEL=0", At: time.Unix(seconds, 0)})
			if err != nil {
				t.Fatal(err)
			}
			os.Stdout.WriteString("up\n")
			// Not closed: the owner has no time for that.
			runtime.KeepAlive(s)
		}
	}
	mark := strconv.Itoa(1e9 + os.Getpid())
	cmd := exec.Command(os.Args[0], "-test.run=^TestOpenSSLDiesWithItsOwner$")
	cmd.Env = append(os.Environ(), abandonEnv+"="+mark)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("up\n")*3)); err != nil {
		t.Error(err)
	}
	if n := len(withArgument(t, mark)); n < 3 {
		t.Errorf("%d processes were found, so that nothing is tested here", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(5 * time.Second); len(withArgument(t, mark)) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("processes outlive their owner: %v", withArgument(t, mark))
		}
	}
}

// withArgument finds the processes that have the argument.
func withArgument(t *testing.T, arg string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		args, _ := os.ReadFile(file) // gone meanwhile, or not ours
		if bytes.Contains(args, []byte("\x00"+arg+"\x00")) {
			found = append(found, file)
		}
	}
	return found
}
