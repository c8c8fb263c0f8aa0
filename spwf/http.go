package spwf

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// httpTrailer stands between the answer of a server and OK in firmware 3.x.
var httpTrailer = []byte("\r\n\x1a\x1a\x1a\r\n")

// HTTPReply is what a server answered, as the module printed it.
type HTTPReply struct {
	Status int
	Header textproto.MIMEHeader
	Body   []byte
	// Raw is the whole answer without the module's trailer.
	Raw []byte
	// Dropped counts bytes in the middle of an answer over 64 KiB that were
	// not kept.
	Dropped int
}

// HTTPGet asks a server for a path (HTTPGET=host,path,port). The module has no
// TLS here. Port 0 leaves the port out.
func (m *Module) HTTPGet(ctx context.Context, host, path string, port int) (HTTPReply, error) {
	return m.http(ctx, "AT+S.HTTPGET=", "", host, path, port)
}

// HTTPPost sends a form (HTTPPOST=host,path,form,port). The form shows in no
// error.
func (m *Module) HTTPPost(ctx context.Context, host, path, form string, port int) (HTTPReply, error) {
	if err := checkField("the form", form); err != nil {
		return HTTPReply{}, fmt.Errorf("spwf: the form is empty or holds a comma or a control character: %w", ErrArgument)
	}
	return m.http(ctx, "AT+S.HTTPPOST=", form, host, path, port)
}

func (m *Module) http(ctx context.Context, verb, form, host, path string, port int) (HTTPReply, error) {
	if err := checkField("the host", host); err != nil {
		return HTTPReply{}, err
	}
	if err := checkField("the path", path); err != nil {
		return HTTPReply{}, err
	}
	command := verb + host + "," + path
	if form != "" {
		command += "," + form
	}
	if port != 0 {
		command += "," + strconv.Itoa(port)
	}
	q := ordinary(command)
	if form != "" {
		q.secrets = append(q.secrets, form)
	}
	q.limit, q.within = "http", m.opt.Limits.HTTP
	f, err := m.content(ctx, q, true)
	if err != nil {
		return HTTPReply{}, err
	}
	reply := parseHTTP(f.body)
	reply.Dropped = f.got.dropped
	if reply.Status == 0 {
		return reply, fmt.Errorf("%sno HTTP status line: %w", where(m.opt.Board, q.name()), ErrReply)
	}
	return reply, nil
}

// parseHTTP reads the answer of any server: a bad one gives Status 0 or lacks
// headers, and never an error of its own.
func parseHTTP(p []byte) HTTPReply {
	p = bytes.TrimSuffix(p, httpTrailer)
	at := bytes.Index(p, []byte("HTTP/"))
	if at < 0 {
		return HTTPReply{Raw: p}
	}
	p = p[at:]
	reply := HTTPReply{Raw: p}
	head, body, ok := bytes.Cut(p, []byte("\r\n\r\n"))
	if ok {
		reply.Body = body
	}
	status, headers, _ := strings.Cut(string(head), "\r\n")
	if fields := strings.Fields(status); len(fields) > 1 {
		if n, err := strconv.Atoi(fields[1]); err == nil && n >= 100 && n <= 999 {
			reply.Status = n
		}
	}
	r := textproto.NewReader(bufio.NewReader(strings.NewReader(headers + "\r\n\r\n")))
	reply.Header, _ = r.ReadMIMEHeader()
	return reply
}
