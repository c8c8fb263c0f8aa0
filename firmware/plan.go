package firmware

import (
	"bytes"
	"iter"
)

// Strategy is how an image got into flash.
type Strategy string

const (
	// Dense erases all pages of the image, writes every block that is not
	// blank, and reads every byte back.
	Dense Strategy = "dense"
	// Compare reads a page before it is erased, and leaves it alone when it
	// holds what it should: every byte is proved, none is worn needlessly.
	Compare Strategy = "compare"
	// ByPassport sends nothing: an operator trusts the passport together with
	// the build that the module reports.
	ByPassport Strategy = "passport"
)

// block is up to 256 bytes of an image.
type block struct {
	offset int
	data   []byte
}

// blocks cuts p into blocks.
func blocks(p []byte) iter.Seq[block] {
	return func(yield func(block) bool) {
		for at := 0; at < len(p); at += blockSize {
			if !yield(block{at, p[at:min(at+blockSize, len(p))]}) {
				return
			}
		}
	}
}

// page gives the bytes of the image's page i, counted from its first.
func (img Image) page(i int) []byte {
	return img.Data[i*PageSize : min((i+1)*PageSize, len(img.Data))]
}

// guess says which pages of img, counted from its first, may already be in
// flash, and whether that is worth trying without a probe.
func guess(img Image, p *Passport) (candidates []bool, sure bool) {
	candidates = make([]bool, img.Pages())
	for i := range candidates {
		candidates[i] = true
	}
	if p == nil || p.Void != nil {
		return candidates, false
	}
	if p.Interrupted != nil {
		return candidates, p.Interrupted.SHA256 == img.Hash()
	}
	if !p.known() || len(p.Pages) == 0 {
		return candidates, false
	}
	shift := pageOf(img.Address) - pageOf(p.Address)
	for i, digest := range pageDigests(img) {
		if k := i + shift; k >= 0 && k < len(p.Pages) {
			candidates[i] = p.Pages[k] == digest
		}
	}
	return candidates, false
}

// probeSize is how much of the flash may be read, to learn whether an older
// copy of the image is there, for what Get and Get Version would have cost: 24
// bytes on the wire, of which 12 are a read's frame.
const probeSize = 12

// telling is the number of different bytes that make a few bytes telling: code
// has them, padding and tables have not.
const telling = 4

// probe is the place to look at: two halves, on both sides of a page boundary
// where there is one, so that one changed page does not hide its neighbour.
type probe struct {
	offset int
	halves [2][]byte
}

// choose picks the place among the candidates: the telling page boundary that
// is nearest to three quarters of the image, since code that moved differs
// there; else the most telling place inside a page. There is none only when
// every candidate is blank.
func choose(img Image, candidates []bool) (probe, bool) {
	target := len(img.Data) / 4 * 3
	best, found := probe{}, false
	for i := 1; i < len(candidates); i++ {
		at := i * PageSize
		if !candidates[i-1] || !candidates[i] || len(img.Data)-at < probeSize/2 {
			continue
		}
		p := probe{at - probeSize/2, [2][]byte{img.Data[at-probeSize/2 : at], img.Data[at : at+probeSize/2]}}
		if p.weight() < telling {
			continue
		}
		if !found || abs(at-target) < abs(best.offset-target) {
			best, found = p, true
		}
	}
	if found {
		return best, true
	}
	return chooseInside(img, candidates)
}

// chooseInside looks at every sixteenth byte of the candidates.
func chooseInside(img Image, candidates []bool) (best probe, found bool) {
	most := 0
	for i, candidate := range candidates {
		if !candidate {
			continue
		}
		page := img.page(i)
		for at := 0; at < len(page); at += 16 {
			data := page[at:min(at+probeSize, len(page))]
			if n := distinct(data); n > most && !isBlank(data) {
				most = n
				best, found = probe{i*PageSize + at, [2][]byte{data, nil}}, true
			}
		}
	}
	return best, found
}

// weight is the number of different bytes in the poorer half.
func (p probe) weight() int { return min(distinct(p.halves[0]), distinct(p.halves[1])) }

func (p probe) size() int { return len(p.halves[0]) + len(p.halves[1]) }

// matches says whether one of the halves is in flash.
func (p probe) matches(got []byte) bool {
	n := len(p.halves[0])
	return bytes.Equal(got[:n], p.halves[0]) ||
		len(p.halves[1]) > 0 && bytes.Equal(got[n:], p.halves[1])
}

func distinct(p []byte) int {
	var seen [256]bool
	n := 0
	for _, b := range p {
		if !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n
}

func abs(n int) int { return max(n, -n) }
