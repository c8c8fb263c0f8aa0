package app_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hil-runner/farm/virtlab/app"
)

// quick is a module without delays.
func quick() app.Profile {
	p := app.DefaultProfile()
	p.Timing = app.Timing{}
	return p
}

// onLoopback boots a module whose network is this machine's and joins it.
func onLoopback(t *testing.T, p app.Profile, names map[string]string) *bench {
	t.Helper()
	b := newBench(p)
	t.Cleanup(b.close)
	b.air.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	b.air.names = names
	b.boot(true, false)
	b.expect(t, wind("32:WiFi Hardware Started"))
	b.input("AT+S.SSIDTXT=lab\rAT+S.SCFG=wifi_wpa_psk_text,secret-key\rAT&W\rAT+CFUN=1\r")
	b.expect(t, wind("24:WiFi Up:192.168.0.102"))
	return b
}

// listen serves connections of a real listener until the test ends.
func listen(t *testing.T, serve func(net.Conn)) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln.Addr().(*net.TCPAddr).Port
}

// exchange sends data through socket 0 and reads it back.
func exchange(t *testing.T, b *bench, data string) {
	t.Helper()
	b.input(fmt.Sprintf("AT+S.SOCKW=0,%d\r%s", len(data), data))
	b.expect(t, wind(fmt.Sprintf("55:Pending Data:0:%d", len(data))))
	b.input(fmt.Sprintf("AT+S.SOCKR=0,%d\r", len(data)))
	if got := b.expect(t, ok); got != data+ok {
		t.Fatalf("got %d bytes back, sent %d", len(got)-len(ok), len(data))
	}
}

func TestEchoOverLoopback(t *testing.T) {
	port := listen(t, echo)
	b := onLoopback(t, quick(), map[string]string{"echo.test": "127.0.0.1"})
	b.input(fmt.Sprintf("AT+S.SOCKON=echo.test,%d,t,ind\r", port))
	b.expect(t, "\r\n ID: 00\r\n"+ok)
	exchange(t, b, everyByte(1000)[:730])
	exchange(t, b, everyByte(300))
	b.input("AT+S.SOCKC=0\r")
	b.expect(t, ok)
}

func TestTLSOverLoopback(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		p := newPeer(office().leaf(nil, "echo.test"), office().key)
		p.config.MinVersion, p.config.MaxVersion = version, version
		p.config.ClientAuth = tls.RequireAnyClientCert
		port := listen(t, p.serve)
		b := onLoopback(t, quick(), map[string]string{"echo.test": "127.0.0.1"})
		for _, s := range mutual("echo.test") {
			b.input(s.send)
			b.expect(t, ok)
		}
		b.input(fmt.Sprintf("AT+S.SOCKON=echo.test,%d,s,ind\r", port))
		b.expect(t, "\r\n ID: 00\r\n"+ok)
		exchange(t, b, everyByte(1000))
		b.input("AT+S.SOCKC=0\r")
		b.expect(t, ok)
	}
}

// TestResetEndsWhatWaits resets the module in the middle of a handshake, a
// download and an open socket: nothing may stay behind.
func TestResetEndsWhatWaits(t *testing.T) {
	begun, over := make(chan struct{}, 8), make(chan struct{}, 8)
	port := listen(t, func(c net.Conn) {
		begun <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
		over <- struct{}{}
	})
	wait := func(c chan struct{}, what string) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			t.Fatal(what)
		}
	}
	for _, command := range []string{"SOCKON=echo.test,%d,s", "HTTPGET=echo.test,/,%d", "FWUPDATE=echo.test,/,%d", "SOCKON=echo.test,%d,t"} {
		b := onLoopback(t, quick(), map[string]string{"echo.test": "127.0.0.1"})
		b.input(fmt.Sprintf("AT+S."+command+"\r", port))
		wait(begun, command+": no connection")
		if strings.HasSuffix(command, ",t") {
			b.expect(t, ok)
		}
		b.close()
		wait(over, command+": the connection outlived its module")
	}
}

// TestAgainstOpenSSL has another TLS stack as witness, in all three modes.
func TestAgainstOpenSSL(t *testing.T) {
	tool, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("HIL_REQUIRE_TOOLS") == "1" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	o, dir := office(), t.TempDir()
	for name, text := range map[string]string{"ca.pem": certPEM(o.ca), "key.pem": keyPEM(o.key),
		"cert.pem": certPEM(o.leaf(nil, "echo.test"))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for mode, c := range map[string]struct {
		load []step
		args []string
		want string
	}{
		"anonymous":         {nil, nil, "\r\n ID: 00\r\n" + ok},
		"one_way":           {oneWay("echo.test"), nil, "\r\n ID: 00\r\n" + ok},
		"one_way, refused":  {oneWay("x.test"), nil, notTrusted},
		"mutual":            {mutual("echo.test"), []string{"-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"}, "\r\n ID: 00\r\n" + ok},
		"mutual, no client": {oneWay("echo.test"), []string{"-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"}, notTrusted},
	} {
		t.Run(mode, func(t *testing.T) {
			port := serveOpenSSL(t, tool, dir, c.args)
			b := onLoopback(t, quick(), map[string]string{"echo.test": "127.0.0.1"})
			for _, s := range c.load {
				b.input(s.send)
				b.expect(t, ok)
			}
			b.input(fmt.Sprintf("AT+S.SOCKON=echo.test,%d,s,ind\r", port))
			b.expect(t, c.want)
			if strings.Contains(c.want, "ID") { // -rev sends each line back reversed
				b.input("AT+S.SOCKW=0,6\rhello\n")
				b.expect(t, wind("55:Pending Data:0:6"))
				b.input("AT+S.SOCKR=0,6\r")
				b.expect(t, "olleh\n"+ok)
			}
		})
	}
}

// serveOpenSSL starts s_server on a free port and waits until it accepts.
func serveOpenSSL(t *testing.T, tool, dir string, more []string) (port int) {
	t.Helper()
	args := append([]string{"s_server", "-accept", "127.0.0.1:0", "-rev", "-cert", "cert.pem", "-key", "key.pem",
		"-tls1_2", "-attime", fmt.Sprint(noon.Unix())}, more...)
	cmd := exec.Command(tool, args...)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "ACCEPT 127.0.0.1:%d", &port); err == nil {
			return port
		}
	}
	t.Fatal("s_server did not say where it accepts")
	return 0
}
