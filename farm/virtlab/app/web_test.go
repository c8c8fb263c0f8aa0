package app_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hil-runner/farm/virtlab/app"
)

// web answers one request with body and keeps the request.
func web(request *string, answer string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		*request = fmt.Sprintf("%s %s %s %s %s", req.Method, req.Host, req.URL, req.Proto, body)
		_, _ = io.WriteString(c, answer)
	}
}

func page(body string) string {
	return fmt.Sprintf("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const trailer = "\r\n\x1a\x1a\x1a\r\n"

func TestHTTP(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		var request string
		answer := page("hello")
		b.air.services["10.0.0.1:80"] = web(&request, answer)
		b.air.services["10.0.0.1:8080"] = web(&request, answer)
		joined(t, b)
		custom := "GET /raw HTTP/1.1\r\nHost: x\r\n\r\n"
		for _, c := range []struct{ send, want, request string }{
			{"AT+S.HTTPGET=echo.test,/a?b=c\r", answer + trailer + ok, "GET echo.test /a?b=c HTTP/1.0 "},
			{"AT+S.HTTPGET=echo.test,/a,8080\r", answer + trailer + ok, "GET echo.test /a HTTP/1.0 "},
			{"AT+S.HTTPPOST=echo.test,/p,a=1,2&b=3,8080\r", answer + trailer + ok, "POST echo.test /p HTTP/1.0 a=1,2&b=3"},
			{fmt.Sprintf("AT+S.HTTPREQ=echo.test,%d\r%s", len(custom), custom), answer + trailer + ok, "GET x /raw HTTP/1.1 "},
		} {
			run(t, b, []step{{c.send, c.want}})
			if request != c.request {
				t.Errorf("%q: request %q", c.send, request)
			}
		}
		run(t, b, []step{
			{"AT+S.HTTPGET=nope.test,/\r", failed("host not found")},
			{"AT+S.HTTPGET=echo.test,/,81\r", failed("Failed to open socket")},
			{"AT+S.HTTPGET=echo.test,/,x\r", failed("Invalid argument(s)")},
			{"AT+S.HTTPGET=echo.test\r", failed("Missing argument(s)")},
			{"AT+S.HTTPD=0\r", ok},
		})
	})
}

// TestHTTPOfASilentServer ends by ip_http_get_recv_timeout.
func TestHTTPOfASilentServer(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:80"] = func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
		joined(t, b)
		run(t, b, []step{{"AT+S.HTTPGET=echo.test,/\r", trailer + ok}})
	})
}

// ota is an update file whose length is n bytes.
func ota(n int, model string) []byte {
	return app.EncodeStage(app.StagedImage{Model: model, Version: "170111-665d284", Base: 0x08002800,
		Data: bytes.Repeat([]byte{0x5a}, n-84)})
}

func TestFirmwareUpdate(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		file := ota(3*4096+1812, "SPWF01SA")
		var request string
		serve := func(body []byte) { b.air.services["10.0.0.1:80"] = web(&request, page(string(body))) }
		joined(t, b)
		serve(file)
		run(t, b, []step{{"AT+S.FWUPDATE=echo.test,/fw.ota\r",
			" Write len 4096 -> 0x1000\r\n Write len 4096 -> 0x2000\r\n Write len 4096 -> 0x3000\r\n" +
				" Write len 1812 -> 0x4000 (final)\r\n Wrote 14100 bytes\r\n" +
				" Complete!  Update will be applied on next reboot.  (at+cfun=1)\r\n" + ok}})
		img, err := app.ParseStage(b.areasOf()[app.AreaStage])
		if err != nil || img.Model != "SPWF01SA" || img.Version != "170111-665d284" || img.Base != 0x08002800 || len(img.Data) != len(file)-84 {
			t.Fatalf("%+v, %v", img, err)
		}
		b.cmd("AT+CFUN=1\r")
		if last := b.resets[len(b.resets)-1]; last != app.ResetUpdate {
			t.Errorf("restart for %d", last)
		}
		xml := "<?x`ml version"
		for _, c := range []struct {
			body []byte
			want string
		}{
			{[]byte(xml), failed("Invalid F/W image(60783F3C)")},
			{nil, failed("Invalid F/W image(00000000)")},
			{ota(4096, "SPWF"), failed("F/W update model 'SPWF' not matching local 'SPWF01SA'")},
			{ota(1<<20+1, "SPWF01SA"), failed("Low Memory")},
		} {
			serve(c.body)
			b.input("AT+S.FWUPDATE=echo.test,/fw.ota\r")
			var got string
			for range 20 {
				got += b.settle()
			}
			if !strings.HasSuffix(got, c.want) {
				t.Errorf("%q, want %q", got[max(0, len(got)-100):], c.want)
			}
		}
		if len(b.areasOf()[app.AreaStage]) != 0 {
			t.Error("a failed update left what was staged before")
		}
		run(t, b, []step{
			{"AT+S.FWUPDATE=echo.test,/fw.ota,99\r", failed("connect() failed, aborting")},
			{"AT+S.FWUPDATE=nope.test,/fw.ota\r", failed("host not found")},
		})
		serve(ota(8192, "SPWF01SA")) // whole blocks
		if got := b.cmd("AT+S.FWUPDATE=echo.test,/fw.ota\r"); !strings.HasPrefix(got, " Write len 4096 -> 0x1000\r\n Write len 4096 -> 0x2000 (final)\r\n Wrote 8192") {
			t.Errorf("%q", got)
		}
	})
	p := app.DefaultProfile()
	p.ExternalFlash = false
	inBubble(t, p, func(t *testing.T, b *bench) {
		joined(t, b)
		run(t, b, []step{{"AT+S.FWUPDATE=echo.test,/fw.ota\r", failed("Command not found")}})
	})
}

func TestStage(t *testing.T) {
	good := ota(1000, "SPWF01SA")
	if _, err := app.ParseStage(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := app.ParseStage(bad); err == nil {
			t.Fatalf("byte %d altered and taken", i)
		}
		if _, err := app.ParseStage(good[:i]); err == nil {
			t.Fatalf("%d bytes taken", i)
		}
	}
}

// pages is a file system image with one file.
func pages(name, content string) []byte {
	p := make([]byte, 12+44)
	binary.LittleEndian.PutUint32(p[0:], 0x00228801)
	binary.LittleEndian.PutUint32(p[8:], 1)
	binary.LittleEndian.PutUint32(p[12:], uint32(len(p)))
	binary.LittleEndian.PutUint32(p[16:], uint32(len(content)))
	copy(p[20:52], name)
	return append(p, content...)
}

func TestFiles(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		var request string
		b.air.services["10.0.0.1:80"] = web(&request, page(string(pages("/x.html", "<html>"))))
		joined(t, b)
		run(t, b, []step{
			{"AT+S.FSC=/a,10\r", ok},
			{"AT+S.FSC=/a,10\r", failed("Unable to open file")},
			{"AT+S.FSC=/b,4097\r", failed("Invalid argument(s)")},
			{"AT+S.FSC=b,10\r", failed("Invalid argument(s)")},
			{"AT+S.FSA=/a,5\rhel\r\n", ok},
			{"AT+S.FSA=/a,6\r123456", failed("Low Memory")},
			{"AT+S.FSA=/n,2\r12", failed("File not found")},
			{"AT+S.FSA=/a,2\rlo", ok},
			{"AT+S.FSP=/a\r", "hel\r\nlo" + ok},
			{"AT+S.FSP=/a,1,2\r", "el" + ok},
			{"AT+S.FSP=/a,8,2\r", failed("Invalid argument(s)")},
			{"AT+S.FSP=/n\r", failed("File not found")},
			{"AT+S.FSR=/a,/c\r", ok},
			{"AT+S.FSL\r", " D 7 /c\r\n I 78 /index.html\r\n I 81 /404.html\r\n" + ok},
			{"AT+S.FSD=/c\r", ok},
			{"AT+S.FSD=/c\r", failed("File not found")},
			{"AT+S.HTTPDFSUPDATE=echo.test,/fs.img\r",
				" Write len 62 -> 0x1000 (final)\r\n Wrote 62 bytes\r\n Complete! Please reboot\r\n" + ok},
			{"AT+S.FSP=/x.html\r", "<html>" + ok},
			{"AT+S.HTTPDFSWRITE=56,6\rHTML<>", ok},
			{"AT+S.FSP=/x.html\r", "HTML<>" + ok},
			{"AT+S.HTTPDFSERASE\r", ok},
			{"AT+S.FSP=/x.html\r", failed("File not found")},
		})
	})
}

func TestPins(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{
			{"AT+S.GPIOR=5\r", failed("Invalid argument(s)")},
			{"AT+S.GPIOC=5,out\r", ok},
			{"AT+S.GPIOW=5,1\r", ok},
			{"AT+S.GPIOR=5\r", "GPIO 5 = 1,out\r\n" + ok},
			{"AT+S.GPIOC=0,in,R\r", ok},
			{"AT+S.GPIOR=0\r", "GPIO 0 = 0,in\r\n" + ok},
			{"AT+S.GPIOW=0,1\r", failed("Invalid argument(s)")},
			{"AT+S.GPIOC=16,in\r", failed("Invalid argument(s)")},
			{"AT+S.STS=gpio_enable\r", "#  gpio_enable = 33\r\n" + ok},
		})
	})
}

func TestProfileIsData(t *testing.T) {
	p, err := app.ParseProfile([]byte(`{"Release":"9","TLS":{"MaxVersion":769}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := app.DefaultProfile()
	want.Release, want.TLS.MaxVersion = "9", 0x0301
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if _, err := app.ParseProfile([]byte("{")); err == nil {
		t.Error("damaged profile taken")
	}
}
