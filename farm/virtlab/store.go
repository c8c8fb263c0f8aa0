package virtlab

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
)

// externalSize is the external flash of an .11 module.
const externalSize = 1 << 20

// place is where an area lies in the embedded flash.
type place struct{ page, pages int }

// areas in the embedded flash; all others are in external flash. The real
// module's layout is not public.
var areas = map[app.Area]place{
	app.AreaConfig: {chip.ConfigPage, chip.ConfigPages},
	app.AreaTLS:    {chip.TLSPage, chip.TLSPages},
}

const (
	recordMagic  = 0x4E565631
	recordHeader = 12 // magic, length, check value
	maxRecord    = 64 << 10
)

func (p place) address() uint32 { return chip.FlashBase + uint32(p.page)*chip.PageSize }
func (p place) size() int       { return p.pages * chip.PageSize }

// loadRecord reads an area; nil when it is erased or damaged.
func loadRecord(f *chip.Flash, p place) []byte {
	raw := f.View(p.address(), p.size())
	if binary.LittleEndian.Uint32(raw) != recordMagic {
		return nil
	}
	n := binary.LittleEndian.Uint32(raw[4:])
	if n > uint32(p.size()-recordHeader) {
		return nil
	}
	data := raw[recordHeader : recordHeader+n]
	if crc32.ChecksumIEEE(data) != binary.LittleEndian.Uint32(raw[8:]) {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), maxRecord))
	if err != nil {
		return nil
	}
	return content
}

// saveRecord erases an area and writes data into it, compressed. No data
// leaves it erased.
func saveRecord(f *chip.Flash, p place, data []byte) error {
	record, err := packRecord(data)
	if err != nil {
		return err
	}
	if len(record) > p.size() {
		return fmt.Errorf("%d bytes do not fit in the %d of pages %d-%d", len(record), p.size(), p.page, p.page+p.pages-1)
	}
	for i := range p.pages {
		if _, err := f.ErasePage(p.page + i); err != nil {
			return err
		}
	}
	_, err = f.Program(p.address(), record)
	return err
}

func packRecord(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > maxRecord {
		return nil, fmt.Errorf("%d bytes are more than an area of %d takes", len(data), maxRecord)
	}
	buf := bytes.NewBuffer(make([]byte, recordHeader))
	w, err := flate.NewWriter(buf, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	record := buf.Bytes()
	packed := record[recordHeader:]
	binary.LittleEndian.PutUint32(record, recordMagic)
	binary.LittleEndian.PutUint32(record[4:], uint32(len(packed)))
	binary.LittleEndian.PutUint32(record[8:], crc32.ChecksumIEEE(packed))
	return record, nil
}
