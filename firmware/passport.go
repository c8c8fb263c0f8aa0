package firmware

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Passport is what is known of one module's flash from the flashings that this
// program did. It follows the module, not the slot. It never replaces proof,
// it only says where to look first, save where an operator trusts it.
//
// A passport from Passports is saved by Flash itself, before the first page is
// erased and at the end. It is not safe for concurrent use.
type Passport struct {
	// Key is the module's MAC address or its board's id.
	Key string `json:"key"`
	// SHA256 is that of the image in flash, empty when that is not known.
	SHA256  string `json:"sha256,omitempty"`
	Build   string `json:"build,omitempty"`
	Release string `json:"release,omitempty"`
	// Address and Pages describe that image: a digest for each of its pages.
	Address uint32   `json:"address,omitempty"`
	Pages   []string `json:"pages,omitempty"`
	// When is the end of the last flashing that succeeded.
	When time.Time `json:"when,omitzero"`
	// Cycles counts flashings that erased pages, Failed those that failed.
	Cycles int `json:"cycles"`
	Failed int `json:"failed"`
	// Interrupted is set while pages are erased and not yet proved.
	Interrupted *Interruption `json:"interrupted,omitempty"`
	// Void is set when somebody else may have written the flash.
	Void *Voided `json:"void,omitempty"`

	store *Passports
}

// Interruption is a flashing that did not come to its end.
type Interruption struct {
	SHA256 string `json:"sha256"`
	// Page is the first page that was not proved.
	Page int       `json:"page"`
	When time.Time `json:"when"`
}

// Voided says why a passport may no longer be believed.
type Voided struct {
	Reason string    `json:"reason"`
	When   time.Time `json:"when"`
}

// Proves says whether the passport together with the build that the module
// reports now names this very image. It is what an operator may accept in
// place of reading every byte back. A nil passport proves nothing.
func (p *Passport) Proves(img Image, reportedBuild string) bool {
	return p.known() && p.Address == img.Address && p.SHA256 == img.Hash() &&
		reportedBuild != "" && reportedBuild == img.Build && p.Build == img.Build
}

// known says whether the passport describes what is in flash.
func (p *Passport) known() bool {
	return p != nil && p.Void == nil && p.Interrupted == nil && p.SHA256 != ""
}

// began records that pages are about to be erased.
func (p *Passport) began(img Image, page int) error {
	if p == nil {
		return nil
	}
	p.Cycles++
	p.Interrupted = &Interruption{SHA256: img.Hash(), Page: page, When: time.Now().UTC()}
	return p.save()
}

// failed records how far a flashing came; page is -1 if it erased nothing. One
// that was cancelled counts as interrupted only.
func (p *Passport) failed(img Image, page int, cancelled bool) error {
	if p == nil {
		return nil
	}
	if !cancelled {
		p.Failed++
	}
	if page >= 0 {
		p.Interrupted = &Interruption{SHA256: img.Hash(), Page: page, When: time.Now().UTC()}
	}
	return p.save()
}

// proved records that every byte of img is in flash.
func (p *Passport) proved(img Image) error {
	if p == nil {
		return nil
	}
	p.SHA256, p.Build, p.Release = img.Hash(), img.Build, img.Release
	p.Address, p.Pages = img.Address, pageDigests(img)
	p.When = time.Now().UTC()
	p.Interrupted, p.Void = nil, nil
	return p.save()
}

func (p *Passport) save() error {
	if p.store == nil {
		return nil
	}
	return p.store.Save(p)
}

// pageDigests shortens SHA-256 to eight bytes a page: equal digests only
// decide which pages are worth comparing.
func pageDigests(img Image) []string {
	digests := make([]string, 0, img.Pages())
	for rest := img.Data; len(rest) > 0; {
		n := min(PageSize, len(rest))
		digests = append(digests, pageDigest(rest[:n]))
		rest = rest[n:]
	}
	return digests
}

// pageDigest is that of the whole page: what the image does not give of its
// last page is blank.
func pageDigest(p []byte) string {
	if len(p) < PageSize {
		p = append(bytes.Clone(p), bytes.Repeat([]byte{blank}, PageSize-len(p))...)
	}
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:8])
}
