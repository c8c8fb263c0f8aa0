package virtlab_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"hil-runner/farm/virtlab"
)

// join brings a module into the virtual network.
func join(t testing.TB, m *virtlab.Module) *virtlab.Port {
	t.Helper()
	p := m.Port()
	readUntil(t, p, "+WIND:32:", 5*time.Second)
	send(t, p, "AT+S.SSIDTXT=hil\rAT+S.SCFG=wifi_wpa_psk_text,hil-runner\rAT+S.SCFG=wifi_priv_mode,2\rAT+S.SCFG=wifi_mode,1\rAT&W\rAT+CFUN=1\r")
	readUntil(t, p, "+WIND:24:", 10*time.Second)
	return p
}

// Every module connects from an address of its own, to names of its own table
// only, and not outside this machine.
func TestModulesHaveAddressesAndNames(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	peers := make(chan string, 2)
	go func() {
		defer close(peers)
		for range 2 {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			line, _ := bufio.NewReader(conn).ReadString('\n')
			peers <- host + " " + strings.TrimSpace(line)
			_ = conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for n, want := range map[int]string{1: "127.1.0.1", 251: "127.1.1.1"} {
		m := newModule(t, virtlab.Options{Number: n, Names: map[string]string{"Echo.Lab": "127.0.0.1"}})
		p := join(t, m)
		for name, answer := range map[string]string{"nobody.lab": "ERROR", "203.0.113.1": "ERROR"} {
			send(t, p, "AT+S.SOCKON="+name+","+port+",t\r")
			if got := readUntil(t, p, answer, 10*time.Second); strings.Contains(got, "ID:") {
				t.Errorf("connected to %s: %q", name, got)
			}
		}
		if err := m.SetName("late.lab", m.Address()); err != nil {
			t.Fatal(err)
		}
		name := map[int]string{1: "echo.lab", 251: "late.lab"}[n]
		send(t, p, "AT+S.SOCKON="+name+","+port+",t\r")
		readUntil(t, p, "OK\r\n", 10*time.Second)
		send(t, p, "AT+S.SOCKW=0,6\rhello\n")
		if got := <-peers; got != want+" hello" || m.ModuleAddress() != want {
			t.Errorf("module %d: peer saw %q, module says %s; want %s", n, got, m.ModuleAddress(), want)
		}
	}
}

func TestNameTable(t *testing.T) {
	m := newModule(t, virtlab.Options{})
	for name, addr := range map[string]string{"": "127.0.0.1", "a b": "127.0.0.1", "ok.lab": "example.com"} {
		if err := m.SetName(name, addr); err == nil {
			t.Errorf("name %q to %q is accepted", name, addr)
		}
	}
	for i := range 2000 {
		if err := m.SetName(strings.Repeat("x", 1+i%200)+"."+strings.Repeat("y", 1+i/200), "127.0.0.1"); err != nil {
			return // the table has an end
		}
	}
	t.Error("the table of names grows without bound")
}
