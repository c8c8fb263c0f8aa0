package app_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/farm/virtlab/app"
)

// echo sends everything back.
func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// everyByte is n bytes with every value in them, CR LF OK CR LF included.
func everyByte(n int) string {
	var b bytes.Buffer
	for i := range n {
		b.WriteByte(byte(i))
	}
	return (b.String() + "\r\nOK\r\n\r\n+WIND:55:Pending Data:1:1\r\n")[58:]
}

func TestSocketEcho(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:7"] = echo
		joined(t, b)
		data := everyByte(1000)
		first, second := data[:730], data[730:]
		run(t, b, []step{
			{"AT+S.SOCKON=echo.test,7,t,ind\r", "\r\n ID: 00\r\n" + ok},
			{fmt.Sprintf("AT+S.SOCKW=0,%d\r%s", len(first), first), ok + wind("55:Pending Data:0:730")},
			{fmt.Sprintf("AT+S.SOCKW=00,%d\r%s", len(second), second), ok + wind(fmt.Sprintf("55:Pending Data:0:%d", len(data)))},
			{"AT+S.SOCKQ=0\r", fmt.Sprintf(" DATALEN: %d\r\n", len(data)) + ok},
			{"AT+S.SOCKC=0\r", failed("Pending data")},
			{fmt.Sprintf("AT+S.SOCKR=0,%d\r", len(data)+1), failed("Not enough data in buffer")},
			{"AT+S.SOCKR=0,730\r", first + ok},
			{fmt.Sprintf("AT+S.SOCKR=0,%d\r", len(second)), second + ok},
			{"AT+S.SOCKQ=00\r", " DATALEN: 0\r\n" + ok},
			{"AT+S.SOCKC=00\r", ok},
			{"AT+S.SOCKC=00\r", failed("Illegal Socket ID")},
			{"AT+S.SOCKQ=8\r", failed("Illegal Socket ID")},
			{"AT+S.SOCKR=x,1\r", failed("Illegal Socket ID")},
			{"AT+S.SOCKW=3,5\rhelloAT\r", failed("Illegal Socket ID") + ok},
		})
		if diff := cmp.Diff([]string{"tcp 10.0.0.1:7"}, b.air.dialled()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSocketIndications(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:7"] = func(c net.Conn) { _, _ = c.Write([]byte("hello")) }
		joined(t, b)
		run(t, b, []step{
			{"AT+S.SOCKON=echo.test,7,t\r", "\r\n ID: 00\r\n" + ok}, // silence
			{"AT+S.SOCKC=00\r", failed("Pending data")},
			{"AT+S.SOCKON=echo.test,7,t,ind\r", "\r\n ID: 01\r\n" + ok +
				wind("55:Pending Data:1:5") + wind("58:Socket Closed:1")},
			{"AT+S.SOCKC=01\r", failed("Pending data")}, // 58 frees nothing
			{"AT+S.SOCKW=1,2\rab", failed("Socket error")},
			{"AT+S.SOCKR=01,5\r", "hello" + ok},
			{"AT+S.SOCKC=01\r", ok},
			{"AT+S.SCFG=wind_off_medium,0xFFFFFFFF\r", ok},
			{"AT+S.SOCKON=echo.test,7,t,ind\r", "\r\n ID: 01\r\n" + ok},
			{"AT+S.SOCKQ=1\r", " DATALEN: 5\r\n" + ok},
		})
	})
}

func TestSocketRefusals(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:7"] = echo
		joined(t, b)
		run(t, b, []step{
			{"AT+S.SOCKON=nope.test,7,t\r", failed("Failed to resolve name")},
			{"AT+S.SOCKON=echo.test,8,t\r", failed("Failed to open socket")},
			{"AT+S.SOCKON=echo.test,0,t\r", failed("Invalid argument(s)")},
			{"AT+S.SOCKON=echo.test,65536,t\r", failed("Invalid argument(s)")},
			{"AT+S.SOCKON=echo.test,7,x\r", failed("Invalid argument(s)")},
			{"AT+S.SOCKON=echo.test,7\r", failed("Missing argument(s)")},
			{"AT+S.SOCKON=echo.test,7,t,ind,x\r", failed("Too many argument(s)")},
		})
		for i := range 8 {
			run(t, b, []step{{"AT+S.SOCKON=echo.test,7,t\r", fmt.Sprintf("\r\n ID: %02d\r\n", i) + ok}})
		}
		run(t, b, []step{
			{"AT+S.SOCKON=echo.test,7,t\r", failed("Too many sockets")},
			{"AT+S.SOCKC=3\r", ok},
			{"AT+S.SOCKON=echo.test,7,t\r", "\r\n ID: 03\r\n" + ok},
		})
		b.boot(false, false) // a reset closes all of them
		b.settle()
		for _, c := range b.air.conns {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("a connection outlived the reset")
			}
		}
		run(t, b, []step{{"AT+S.SOCKQ=0\r", failed("Illegal Socket ID")}})
	})
}

func TestWriteHangsOnAWrongLength(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		var got bytes.Buffer
		b.air.services["10.0.0.1:7"] = func(c net.Conn) { _, _ = io.Copy(&got, c) }
		joined(t, b)
		run(t, b, []step{
			{"AT+S.SOCKON=echo.test,7,t,ind\r", "\r\n ID: 00\r\n" + ok},
			{"AT+S.SOCKW=0,10\rhello", ""},
			{"AT\r", ""}, // eaten
			{"AT\r", ok},
			{"AT\r", ok},
			{"AT+S.SOCKW=0,0\r", ok},
			{"AT+S.SOCKW=0,20000\r" + strings.Repeat("x", 19999), ""},
			{"y", ok},
			{"AT+S.SOCKW=0,2000000000\r" + strings.Repeat("AT\r", 10000), ""},
		})
		b.boot(false, false)
		b.settle()
		run(t, b, []step{{"AT\r", ok}})
		b.air.serving.Wait()
		if want := "helloAT\rAT" + strings.Repeat("x", 19999) + "y"; !strings.HasPrefix(got.String(), want) {
			t.Errorf("peer got %q", got.String()[:20])
		}
	})
}

func TestBackPressure(t *testing.T) {
	p := app.DefaultProfile()
	inBubble(t, p, func(t *testing.T, b *bench) {
		sent := 0
		b.air.services["10.0.0.1:7"] = func(c net.Conn) {
			for range 64 {
				n, err := c.Write(make([]byte, 1024))
				if sent += n; err != nil {
					return
				}
			}
		}
		joined(t, b)
		b.cmd("AT+S.SOCKON=echo.test,7,t\r")
		run(t, b, []step{{"AT+S.SOCKQ=0\r", fmt.Sprintf(" DATALEN: %d\r\n", p.Sockets.Buffer) + ok}})
		total := 0
		for range 8 {
			got := b.cmd(fmt.Sprintf("AT+S.SOCKR=0,%d\r", p.Sockets.Buffer))
			total += len(got) - len(ok)
		}
		if total != 64<<10 {
			t.Errorf("read %d of %d", total, 64<<10)
		}
		run(t, b, []step{{"AT+S.SOCKC=0\r", ok}})
	})
}

func TestPendingBugs(t *testing.T) {
	p := app.DefaultProfile()
	p.Bugs.LatePending = 30 * time.Second
	inBubble(t, p, func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:7"] = echo
		joined(t, b)
		run(t, b, []step{
			{"AT+S.SOCKON=echo.test,7,t,ind\r", "\r\n ID: 00\r\n" + ok},
			{"AT+S.SOCKW=0,5\rhello", ok}, {"", ""}, {"", wind("55:Pending Data:0:5")},
		})
	})
}

func TestNetworkLossClosesSockets(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:7"] = echo
		joined(t, b)
		run(t, b, []step{
			{"AT+S.SOCKON=echo.test,7,t,ind\r", "\r\n ID: 00\r\n" + ok},
			{"AT+S.WIFI=0\r", ok + wind("38:WiFi: Powered Down") + wind("58:Socket Closed:0")},
			{"AT+S.SOCKC=0\r", ok},
		})
	})
}

func TestSocketServer(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		joined(t, b)
		run(t, b, []step{
			{"AT+S.\r", failed("Data mode not available")},
			{"AT+S.SOCKD=0\r", failed("Socket Server not running")},
			{"AT+S.SOCKD=8080,t,ind\r", ok},
			{"AT+S.SOCKD=8080\r", failed("Socket Server already up and running")},
			{"AT+S.STS=ip_sockd_port\r", "#  ip_sockd_port = 8080\r\n" + ok},
			{"AT+S.\r", failed("Data mode not available")},
		})
		peer := b.air.visit(":8080")
		heard := make(chan string, 16)
		go func() {
			buf := make([]byte, 1024)
			for {
				n, err := peer.Read(buf)
				if err != nil {
					close(heard)
					return
				}
				heard <- string(buf[:n])
			}
		}()
		run(t, b, []step{{"", wind("61:Incoming Socket Client:192.168.0.7")}})
		_, _ = peer.Write([]byte("hello"))
		run(t, b, []step{{"", wind("64:Sockd Pending Data:1:5:5")}})
		_, _ = peer.Write([]byte("you"))
		run(t, b, []step{
			{"", wind("64:Sockd Pending Data:2:3:8")},
			{"AT+S.\r", wind("60:Now in Data Mode") + "helloyou"},
			{"AT\rat+s.", ""}, // not alone
			{"at+", ""},       // a beginning alone is data after a while
		})
		if a, c := <-heard, <-heard; a != "AT\rat+s." || c != "at+" {
			t.Errorf("peer heard %q and %q", a, c)
		}
		_, _ = peer.Write([]byte("live"))
		run(t, b, []step{{"", "live"}})
		b.input("at+")
		b.input("s.")
		run(t, b, []step{
			{"", wind("59:Back to Command Mode")},
			{"\r\nAT\r", ok},
			{"AT+S.\r", wind("60:Now in Data Mode")},
		})
		peer.Close()
		run(t, b, []step{
			{"", wind("62:Socket Client Gone:192.168.0.7")},
			{"AT\r", ok},
			{"AT+S.SOCKD=0\r", ok},
			{"AT+S.SOCKD=0\r", failed("Socket Server not running")},
		})
		synctest.Wait()
	})
}

func TestSocketServerDrops(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		joined(t, b)
		b.cmd("AT+S.SOCKD=8080\r")
		peer := b.air.visit(":8080")
		second := b.air.visit(":8080")
		if _, err := second.Read(make([]byte, 1)); err == nil {
			t.Error("a second client was taken")
		}
		go func() {
			for range 16 {
				if _, err := peer.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		}()
		if got := b.settle(); strings.Count(got, "+WIND:63:Sockd Dropping Data:1024:") != 1 ||
			!strings.Contains(got, wind("64:Sockd Pending Data:8:1024:8192")) {
			t.Errorf("%q", got)
		}
		if got := b.cmd("AT+S.\r"); len(got) < 15<<10 {
			t.Errorf("%d bytes in data mode", len(got))
		}
	})
}
