package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// webPort is argument i as a port, 80 when it was left out.
func webPort(g arguments, i int) (int, bool) {
	if g.at(i) == "" {
		return 80, true
	}
	return g.number(i, 1, 65535)
}

// httpGet is HTTPGET=host,path[,port].
func (a *App) httpGet(g arguments) {
	port, ok := webPort(g, 2)
	if !ok || !a.ready() {
		if !ok {
			a.fail(a.p.Texts.Invalid)
		}
		return
	}
	a.exchange(g.at(0), port, a.request("GET", g.at(0), g.at(1), ""))
}

// httpPost is HTTPPOST=host,path,form[,port]. A form may hold commas: a last
// field of digits after the form is the port.
func (a *App) httpPost(g arguments) {
	fields := g.list[2:]
	port := 80
	if n := len(fields) - 1; n > 0 {
		if p, err := strconv.Atoi(fields[n]); err == nil && p > 0 && p < 65536 {
			port, fields = p, fields[:n]
		}
	}
	if !a.ready() {
		return
	}
	form := strings.Join(fields, a.delimiter())
	a.exchange(g.at(0), port, a.request("POST", g.at(0), g.at(1), form))
}

// httpRequest is HTTPREQ=host,len[,port] with the whole request as payload.
func (a *App) httpRequest(g arguments) {
	n, good := g.number(1, 0, 1<<16)
	port, ok := webPort(g, 2)
	if !good || !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.awaitAll(n, 1<<16, func(p []byte, _ bool) {
		if a.ready() {
			a.exchange(g.at(0), port, p)
		}
	})
}

// request is a HTTP/1.0 request.
func (a *App) request(method, host, path, form string) []byte {
	head := fmt.Sprintf("%s %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: %s\r\n", method, path, host, a.p.HTTP.UserAgent)
	if method == "POST" {
		head += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(form))
	}
	return []byte(head + "Connection: close\r\n\r\n" + form)
}

// exchange sends a request and prints the response as it is.
func (a *App) exchange(host string, port int, request []byte) {
	a.after(a.p.Timing.Resolve+a.p.Timing.Connect, func() {
		a.work(func(ctx context.Context) func() {
			conn, err := a.ask(ctx, host, port, request)
			if err != nil {
				return func() { a.fail(webError(a.p.Texts, err)) }
			}
			taken := keep(ctx, conn)
			return func() {
				taken()
				stop := make(chan struct{})
				a.guard(stop, conn, nil)
				a.printResponse(conn, stop, a.p.HTTP.MaxResponse)
			}
		})
	})
}

var errHost = errors.New("host not found")

func webError(t Texts, err error) string {
	if errors.Is(err, errHost) {
		return t.HTTPHost
	}
	return t.OpenSocket
}

// ask connects and sends a request. It runs beside the loop.
func (a *App) ask(ctx context.Context, host string, port int, request []byte) (net.Conn, error) {
	ip, err := a.resolve(ctx, host)
	if err != nil {
		return nil, errHost
	}
	dial, cancel := context.WithTimeout(ctx, a.p.Limits.Connect)
	defer cancel()
	conn, err := a.host.Net().Dial(dial, "tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	defer keep(ctx, conn)()
	if err = conn.SetWriteDeadline(time.Now().Add(a.p.Limits.Write)); err == nil {
		_, err = conn.Write(request)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// receiveTimeout is ip_http_get_recv_timeout, in real time.
func (a *App) receiveTimeout() time.Duration {
	ms := a.config.number("ip_http_get_recv_timeout")
	return time.Duration(max(ms, 100)) * time.Millisecond
}

// printResponse prints what comes until the server closes or is silent.
func (a *App) printResponse(conn net.Conn, stop chan struct{}, left int) {
	limit := a.receiveTimeout()
	a.work(func(context.Context) func() {
		buf := make([]byte, min(readSize, max(left, 1)))
		// A connection that takes no deadline is closed: Read says so.
		_ = conn.SetReadDeadline(time.Now().Add(limit))
		n, err := conn.Read(buf)
		return func() {
			a.print(buf[:min(n, left)])
			if left -= min(n, left); err == nil && left > 0 {
				a.after(a.wireTime(n), func() { a.printResponse(conn, stop, left) })
				return
			}
			close(stop)
			if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
				if a.p.HTTP.Trailer {
					a.print([]byte("\r\n\x1a\x1a\x1a\r\n"))
				}
				a.ok()
				return
			}
			a.fail(a.p.Texts.RequestFailed)
		}
	})
}

// webServer is HTTPD. The virtual module has the switch, not the pages.
func (a *App) webServer(g arguments) {
	n, ok := g.number(0, 0, 1)
	if !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.httpd = n == 1
	a.ok()
}
