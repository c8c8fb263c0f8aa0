package app

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// block is how much of a download is written to external flash at once.
const block = 4096

// download is a running FWUPDATE or HTTPDFSUPDATE.
type download struct {
	conn   net.Conn
	stop   chan struct{}
	body   *bufio.Reader
	data   []byte
	limit  int
	silent time.Duration
	area   Area
	done   string // printed after the last block
	check  func(head []byte) (refused string)
}

// firmwareUpdate is FWUPDATE=host,path[,port]. The status of the HTTP answer
// is not looked at, only the image's identifier and model.
func (a *App) firmwareUpdate(g arguments) {
	t := a.p.Texts
	a.fetch(g, download{area: AreaStage, limit: a.p.HTTP.StageSize,
		done: " Complete!  Update will be applied on next reboot.  (at+cfun=1)",
		check: func(head []byte) string {
			if id := binary.LittleEndian.Uint32(head); id != imageID {
				return fmt.Sprintf(t.InvalidImage, id)
			}
			if len(head) < stageHeader {
				return fmt.Sprintf(t.InvalidImage, len(head))
			}
			if model := printable(cString(head[16:48])); model != a.p.UpdateModel {
				return fmt.Sprintf(t.ModelMismatch, model, a.p.UpdateModel)
			}
			return ""
		},
	})
}

// filesUpdate is HTTPDFSUPDATE=host,path[,port].
func (a *App) filesUpdate(g arguments) {
	a.fetch(g, download{area: AreaFiles, limit: a.p.HTTP.StageSize,
		done: " Complete! Please reboot",
		check: func(head []byte) string {
			if id := binary.LittleEndian.Uint32(head); id != filesID {
				return fmt.Sprintf(a.p.Texts.InvalidImage, id)
			}
			return ""
		},
	})
}

// stage keeps a complete download and ends the command.
func (a *App) stage(d *download) {
	if d.area == AreaStage && a.p.Bugs.UpdateCorrupts {
		d.data[len(d.data)/2] ^= 0x55
	}
	if a.host.Area(d.area).Save(d.data) != nil {
		a.fail(a.p.Texts.WriteFailed)
		return
	}
	a.info(" Wrote %d bytes", len(d.data))
	a.info("%s", d.done)
	a.ok()
}

// fetch starts a download.
func (a *App) fetch(g arguments, d download) {
	port, ok := webPort(g, 2)
	if !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	if !a.ready() {
		return
	}
	d.silent = a.receiveTimeout()
	request := a.request("GET", g.at(0), g.at(1), "")
	a.after(a.p.Timing.Resolve+a.p.Timing.Connect, func() {
		a.work(func(ctx context.Context) func() {
			err := d.begin(ctx, a, g.at(0), port, request)
			switch {
			case errors.Is(err, errHost):
				return func() { a.fail(a.p.Texts.HTTPHost) }
			case err != nil:
				return func() { a.fail(a.p.Texts.UpdateConnect) }
			}
			taken := keep(ctx, d.conn)
			return func() {
				taken()
				a.guard(d.stop, d.conn, nil)
				a.fetchBlock(&d)
			}
		})
	})
}

// begin sends the request and reads the head of the answer.
func (d *download) begin(ctx context.Context, a *App, host string, port int, request []byte) error {
	conn, err := a.ask(ctx, host, port, request)
	if err != nil {
		return err
	}
	defer keep(ctx, conn)()
	_ = conn.SetReadDeadline(time.Now().Add(d.silent))
	// The limit bounds what a hostile server can make the head cost.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, int64(d.limit)+64<<10)), nil)
	if err != nil {
		_ = conn.Close()
		return err
	}
	d.conn, d.stop = conn, make(chan struct{})
	d.body = bufio.NewReader(resp.Body)
	return nil
}

// fetchBlock takes one block of the download.
func (a *App) fetchBlock(d *download) {
	a.work(func(context.Context) func() {
		buf := make([]byte, block)
		// A connection that takes no deadline is closed: Read says so.
		_ = d.conn.SetReadDeadline(time.Now().Add(d.silent))
		n, err := io.ReadFull(d.body, buf)
		if err == nil {
			_, err = d.body.Peek(1) // is this the last block?
		}
		return func() { a.fetched(d, buf[:n], err) }
	})
}

// fetched writes one block and says so.
func (a *App) fetched(d *download, p []byte, err error) {
	end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	refused := ""
	switch {
	case err != nil && !end:
		refused = a.p.Texts.RequestFailed
	case len(d.data) == 0 && len(p) < 4:
		refused = fmt.Sprintf(a.p.Texts.InvalidImage, 0)
	case len(d.data) == 0:
		// What was staged before is overwritten from the first block on.
		if refused = d.check(p); refused == "" && a.host.Area(d.area).Save(nil) != nil {
			refused = a.p.Texts.WriteFailed
		}
	}
	if refused == "" && len(d.data)+len(p) > d.limit {
		refused = a.p.Texts.LowMemory
	}
	if refused != "" {
		close(d.stop)
		a.fail(refused)
		return
	}
	d.data = append(d.data, p...)
	blocks := (len(d.data) + block - 1) / block
	switch {
	case len(p) > 0 && end:
		a.info(" Write len %d -> 0x%x (final)", len(p), blocks*block)
	case len(p) > 0:
		a.info(" Write len %d -> 0x%x", len(p), blocks*block)
	}
	a.after(a.p.Timing.UpdateBlock, func() {
		if !end {
			a.fetchBlock(d)
			return
		}
		close(d.stop)
		a.stage(d)
	})
}
