package app

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// Limits of the module's files.
const (
	maxRAMFiles = 8
	maxRAMFile  = 4096
	maxFileName = 30
	// fileEntry is one entry in the header of a file system image.
	fileEntry = 44
)

// ramFile is a file made with FSC. It is gone after a reset.
type ramFile struct {
	name string
	max  int
	data []byte
}

// storedFile is any file as FSL and FSP see it.
type storedFile struct {
	place byte // I internal, D dynamic, E external
	name  string
	data  []byte
}

// allFiles lists dynamic, internal and external files, in this order.
func (a *App) allFiles() []storedFile {
	var files []storedFile
	for _, f := range a.files {
		files = append(files, storedFile{'D', f.name, f.data})
	}
	files = append(files,
		storedFile{'I', "/index.html", []byte("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>SPWF01S</body></html>\n")},
		storedFile{'I', "/404.html", []byte("HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html><body>404</body></html>\n")})
	if a.p.ExternalFlash {
		files = append(files, externalFiles(a.host.Area(AreaFiles).Load())...)
	}
	return files
}

// externalFiles reads a file system image: identifier, length, count, then
// entries of offset, length, name[32], flags and three bytes of padding, data
// and a checksum at the end. What is damaged is left out.
func externalFiles(p []byte) []storedFile {
	if len(p) < 12 || binary.LittleEndian.Uint32(p) != filesID {
		return nil
	}
	count := uint64(binary.LittleEndian.Uint32(p[8:]))
	count = min(count, uint64(len(p)-12)/fileEntry)
	var files []storedFile
	for i := range count {
		e := p[12+i*fileEntry:]
		from, size := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[4:]))
		if from > uint64(len(p)) || size > uint64(len(p))-from {
			continue
		}
		files = append(files, storedFile{'E', printable(cString(e[8:40])), p[from : from+size]})
	}
	return files
}

func (a *App) ramFile(name string) int {
	return slices.IndexFunc(a.files, func(f ramFile) bool { return f.name == name })
}

// fileCreate is FSC=/name,maxlen.
func (a *App) fileCreate(g arguments) {
	size, ok := g.number(1, 1, maxRAMFile)
	switch name := g.at(0); {
	case !ok || !strings.HasPrefix(name, "/") || len(name) > maxFileName:
		a.fail(a.p.Texts.Invalid)
	case a.ramFile(name) >= 0:
		a.fail(a.p.Texts.FileExists)
	case len(a.files) >= maxRAMFiles:
		a.fail(a.p.Texts.LowMemory)
	default:
		a.files = append(a.files, ramFile{name: name, max: size})
		a.ok()
	}
}

// fileAppend is FSA=/name,len with the payload after the CR.
func (a *App) fileAppend(g arguments) {
	n, ok := g.number(1, 0, 1<<31-1)
	if !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.awaitAll(n, maxRAMFile, func(p []byte, over bool) {
		i := a.ramFile(g.at(0))
		switch {
		case i < 0:
			a.fail(a.p.Texts.FileNotFound)
		case over || len(a.files[i].data)+len(p) > a.files[i].max:
			a.fail(a.p.Texts.LowMemory)
		default:
			a.files[i].data = append(a.files[i].data, p...)
			a.ok()
		}
	})
}

// fileDelete is FSD=/name: files in RAM only.
func (a *App) fileDelete(g arguments) {
	i := a.ramFile(g.at(0))
	if i < 0 {
		a.fail(a.p.Texts.FileNotFound)
		return
	}
	a.files = slices.Delete(a.files, i, i+1)
	a.ok()
}

// fileRename is FSR=/old,/new. Its arguments are borrowed from the next
// model.
func (a *App) fileRename(g arguments) {
	name := g.at(1)
	i := a.ramFile(g.at(0))
	switch {
	case i < 0:
		a.fail(a.p.Texts.FileNotFound)
	case !strings.HasPrefix(name, "/") || len(name) > maxFileName:
		a.fail(a.p.Texts.Invalid)
	case a.ramFile(name) >= 0:
		a.fail(a.p.Texts.FileExists)
	default:
		a.files[i].name = name
		a.ok()
	}
}

// fileList is FSL.
func (a *App) fileList(arguments) {
	for _, f := range a.allFiles() {
		a.info(" %c %d %s", f.place, len(f.data), f.name)
	}
	a.ok()
}

// filePrint is FSP=/name[,offset,length].
func (a *App) filePrint(g arguments) {
	files := a.allFiles()
	i := slices.IndexFunc(files, func(f storedFile) bool { return f.name == g.at(0) })
	if i < 0 {
		a.fail(a.p.Texts.FileNotFound)
		return
	}
	data := files[i].data
	from, size := 0, len(data)
	ok := true
	if g.at(1) != "" {
		if from, ok = g.number(1, 0, len(data)); ok {
			size = len(data) - from
		}
	}
	if ok && g.at(2) != "" {
		size, ok = g.number(2, 0, 1<<31-1)
	}
	if !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.print(bytes.Clone(data[from : from+min(size, len(data)-from)]))
	a.ok()
}

// filesErase is HTTPDFSERASE. The stage for updates is in the same flash.
func (a *App) filesErase(arguments) {
	if a.host.Area(AreaFiles).Save(nil) != nil || a.host.Area(AreaStage).Save(nil) != nil {
		a.fail(a.p.Texts.WriteFailed)
		return
	}
	a.after(a.p.Timing.UpdateBlock, a.ok)
}

// filesWrite is HTTPDFSWRITE=<addr>,<len>: it overwrites part of the image in
// external flash (form and effect are unverified).
func (a *App) filesWrite(g arguments) {
	at, good := g.number(0, 0, a.p.HTTP.StageSize)
	n, ok := g.number(1, 0, block)
	if !good || !ok || at+n > a.p.HTTP.StageSize {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.awaitAll(n, block, func(p []byte, _ bool) {
		image := bytes.Clone(a.host.Area(AreaFiles).Load())
		if grow := at + len(p) - len(image); grow > 0 {
			image = append(image, bytes.Repeat([]byte{0xff}, grow)...)
		}
		copy(image[at:], p)
		if a.host.Area(AreaFiles).Save(image) != nil {
			a.fail(a.p.Texts.WriteFailed)
			return
		}
		a.after(a.p.Timing.UpdateBlock, a.ok)
	})
}
