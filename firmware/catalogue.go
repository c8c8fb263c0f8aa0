package firmware

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"aead.dev/minisign"
)

// ManifestName is the file of a catalogue's folder that lists its images.
const ManifestName = "manifest.yaml"

// Entry is what the catalogue knows of one release. Release is a label;
// Build is what a module that runs it reports, and the only proof of it.
type Entry struct {
	Release string `json:"release" yaml:"release"`
	Build   string `json:"build" yaml:"build"`
	// Level is a version such as "3.5.3" that orders the releases of its era.
	Level string `json:"level" yaml:"level"`
	// SHA256 is that of the file, in lower-case hexadecimal; for a virtual
	// image, that of its bytes.
	SHA256 string `json:"sha256" yaml:"sha256"`
	Model  string `json:"model" yaml:"model"`
	// Address is where a .bin goes; 0 for an image sent by OTA.
	Address uint32 `json:"address,omitempty" yaml:"address,omitempty"`
	Method  Method `json:"method" yaml:"method"`
	// File is relative to the catalogue's folder; empty for a virtual image.
	File    string `json:"file,omitempty" yaml:"file,omitempty"`
	Virtual bool   `json:"virtual,omitempty" yaml:"-"`
}

// Trust says which images from disk are accepted.
type Trust struct {
	// Keys are the minisign public keys whose signatures count.
	Keys []minisign.PublicKey
	// AllowUnsigned accepts images without a signature by one of Keys; their
	// Signature is then "unsigned". A wrong signature by one of Keys is
	// refused all the same.
	AllowUnsigned bool
}

// Catalogue is the set of known releases. It is safe for concurrent use.
type Catalogue struct {
	dir   string
	trust Trust

	mu      sync.RWMutex
	entries []Entry
	images  map[string]Image // virtual images by release
}

// NewCatalogue makes a catalogue without a folder.
func NewCatalogue() *Catalogue { return &Catalogue{images: map[string]Image{}} }

// LoadCatalogue reads the manifest of a folder. A manifest with problems gives
// a *ManifestError with all of them. Image files are not opened before Image.
func LoadCatalogue(dir string, trust Trust) (*Catalogue, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("firmware catalogue: %w", err)
	}
	defer root.Close()
	data, err := readInRoot(root, ManifestName, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("firmware catalogue %s: %w", dir, err)
	}
	entries, err := ParseManifest(data)
	if err != nil {
		var m *ManifestError
		if errors.As(err, &m) {
			m.Path = dir + string(os.PathSeparator) + ManifestName
		}
		return nil, err
	}
	c := NewCatalogue()
	c.dir, c.trust, c.entries = dir, trust, entries
	return c, nil
}

// Add puts an image that was made in memory into the catalogue, marked as
// virtual and unsigned. Data must not be changed afterwards.
func (c *Catalogue) Add(e Entry, data []byte) error {
	e.Virtual, e.File = true, ""
	if e.Method == "" {
		e.Method = UART
	}
	img, err := NewImage(e, data)
	if err != nil {
		return err
	}
	if e.SHA256 != "" && !strings.EqualFold(e.SHA256, img.Hash()) {
		return fmt.Errorf("release %s: %w: promised %s, its bytes give %s", e.Release, ErrHash, e.SHA256, img.Hash())
	}
	e.SHA256, e.Address = img.Hash(), img.Address
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.entries {
		if known.Release == e.Release {
			return fmt.Errorf("release %s is in the catalogue already, as build %s", e.Release, known.Build)
		}
	}
	c.entries = append(c.entries, e)
	c.images[e.Release] = img
	return nil
}

// Entries lists the catalogue in the order of its manifest, virtual images
// after those of the folder.
func (c *Catalogue) Entries() []Entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return append([]Entry(nil), c.entries...)
}

// Find gives the entry of a release. The error of an unknown one lists what is
// known, nearest names first.
func (c *Catalogue) Find(release string) (Entry, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var known []string
	for _, e := range c.entries {
		if e.Release == release {
			return e, nil
		}
		known = append(known, e.Release)
	}
	return Entry{}, fmt.Errorf("%w %q%s", ErrUnknownRelease, release, suggest(release, known))
}

// Image reads, checks and gives the image of a release. The file is read once;
// hash and signature are those of the very bytes that are returned.
func (c *Catalogue) Image(release string) (Image, error) {
	e, err := c.Find(release)
	if err != nil {
		return Image{}, err
	}
	if e.Virtual {
		c.mu.RLock()
		defer c.mu.RUnlock()
		return c.images[release], nil
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return Image{}, fmt.Errorf("firmware catalogue: %w", err)
	}
	defer root.Close()
	img, err := readEntry(root, e, c.trust)
	if err != nil {
		return Image{}, fmt.Errorf("release %s, file %q in %s: %w", release, e.File, c.dir, err)
	}
	return img, nil
}

// readEntry reads one file and its signature and checks both before it looks
// at what the bytes mean.
func readEntry(root *os.Root, e Entry, trust Trust) (Image, error) {
	data, err := readInRoot(root, e.File, maxFile)
	if err != nil {
		return Image{}, err
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != e.SHA256 {
		return Image{}, fmt.Errorf("%w: the manifest says %s, its %d bytes give %s", ErrHash, e.SHA256, len(data), got)
	}
	sig, err := readInRoot(root, e.File+SignatureSuffix, maxSignature)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Image{}, err
	}
	signer, err := trust.verify(data, sig)
	if err != nil {
		return Image{}, err
	}
	var img Image
	if e.Method == OTA {
		img = Image{Data: data, SHA256: sum}
	} else if img, err = ReadImage(data, formatOf(e.File), e.Address); err != nil {
		return Image{}, err
	}
	img.describe(e)
	img.Signature = signer
	return img, nil
}
