package firmware

import (
	"errors"
	"os"
	"testing"
	"time"
)

// recordingPort acknowledges everything and keeps what was sent.
type recordingPort struct{ sent []byte }

func (p *recordingPort) Write(b []byte) (int, error) {
	p.sent = append(p.sent, b...)
	return len(b), nil
}
func (p *recordingPort) SetReadDeadline(time.Time) error { return nil }
func (p *recordingPort) Read(b []byte) (int, error) {
	if len(p.sent) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	b[0] = romAck
	return 1, nil
}

// TestEraseWhitelist goes red when the whitelist of erasing is taken out: the
// guard stands behind the check of the image, so it is asked directly.
func TestEraseWhitelist(t *testing.T) {
	all := make([]int, 256)
	for i := range all {
		all[i] = firstAppPage + i%100
	}
	for name, pages := range map[string][]int{
		"no page":            {},
		"first boot page":    {0},
		"last boot page":     {4, 5, 6},
		"configuration":      {249, 250},
		"last page":          {255},
		"beyond a byte":      {256 + 5},
		"negative":           {-1},
		"count of 0xFF":      all,
		"one bad among good": {5, 6, 7, 3, 8},
	} {
		t.Run(name, func(t *testing.T) {
			port := &recordingPort{}
			r := &rom{port: port, baud: defaultBaud}
			if err := r.erase(t.Context(), pages); !errors.Is(err, ErrForbidden) {
				t.Errorf("got %v, want ErrForbidden", err)
			}
			if len(port.sent) != 0 {
				t.Errorf("sent % X", port.sent)
			}
		})
	}
	port := &recordingPort{}
	r := &rom{port: port, baud: defaultBaud}
	if err := r.erase(t.Context(), []int{firstAppPage, lastAppPage}); err != nil || string(port.sent) != "\x43\xBC\x01\x05\xF9\xFD" {
		t.Errorf("the first and the last page of the application: %v, sent % X", err, port.sent)
	}
}

// TestWriteWhitelist does the same for writing.
func TestWriteWhitelist(t *testing.T) {
	for name, c := range map[string]struct {
		addr uint32
		size int
	}{
		"boot part":               {0x08000000, 256},
		"end of the boot part":    {0x080027FC, 4},
		"into the application":    {0x08002700, 256},
		"configuration":           {AppEnd, 256},
		"into the configuration":  {AppEnd - 128, 256},
		"padding into it":         {AppEnd - 4, 5},
		"option bytes":            {0x1FFFF800, 16},
		"RAM":                     {0x20000200, 256},
		"nothing":                 {AppStart, 0},
		"more than a block":       {AppStart, 257},
		"not a word":              {AppStart + 2, 4},
		"beyond the address room": {0xFFFFFFFC, 8},
	} {
		t.Run(name, func(t *testing.T) {
			port := &recordingPort{}
			r := &rom{port: port, baud: defaultBaud}
			if err := r.write(t.Context(), c.addr, make([]byte, c.size)); !errors.Is(err, ErrForbidden) {
				t.Errorf("got %v, want ErrForbidden", err)
			}
			if len(port.sent) != 0 {
				t.Errorf("sent % X", port.sent)
			}
		})
	}
	port := &recordingPort{}
	r := &rom{port: port, baud: defaultBaud}
	if err := r.write(t.Context(), AppEnd-256, make([]byte, 256)); err != nil {
		t.Error(err)
	}
}
