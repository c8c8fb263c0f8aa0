package spwf

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// Build is what a module says of its firmware. It is never a release number:
// no module prints one.
type Build struct {
	// Text is the whole text as printed, "170111-665d284-SPWF01S".
	Text string
	// Date is YYMMDD and Hash the seven digits after it; both are empty for
	// a text of unknown form.
	Date string
	Hash string
	// Suffix is "SPWF01S", "RELEASE" or what else followed.
	Suffix string
}

// ID gives "170111-665d284", or Text when its form is unknown.
func (b Build) ID() string {
	if b.Date == "" {
		return b.Text
	}
	return b.Date + "-" + b.Hash
}

// String gives Text with control bytes made visible.
func (b Build) String() string { return printable(b.Text) }

// Known is true when the text has one of the forms that modules print.
func (b Build) Known() bool { return b.Date != "" }

var (
	buildForm = regexp.MustCompile(`^(\d{6})-([0-9a-f]{7})(?:-(SPWF01S|RELEASE.*))?$`)
	// The first modules printed 1203-121218_01-50-g511fab4-stm_demo.
	oldBuildForm = regexp.MustCompile(`^1203-(\d{6})_\d+-\d+-g([0-9a-f]{7})(?:-(.*))?$`)
)

// ParseBuild reads the text of WIND 1 or of STS=version, with or without the
// banner's "Poweron (...)". A text of unknown form gives a Build that is not
// Known.
func ParseBuild(text string) Build {
	if open := strings.IndexByte(text, '('); open >= 0 {
		text = text[open+1:]
		if end := strings.LastIndexByte(text, ')'); end >= 0 {
			text = text[:end]
		}
	}
	text = strings.TrimSpace(text)
	b := Build{Text: text}
	for _, form := range []*regexp.Regexp{buildForm, oldBuildForm} {
		if m := form.FindStringSubmatch(text); m != nil {
			b.Date, b.Hash, b.Suffix = m[1], m[2], m[3]
			break
		}
	}
	return b
}

// Version asks the running firmware for its build (STS=version).
func (m *Module) Version(ctx context.Context) (Build, error) {
	v, err := m.Status(ctx, "version")
	if err != nil {
		return Build{}, err
	}
	if v == "" {
		return Build{}, fmt.Errorf("%sempty version: %w", where(m.opt.Board, "AT+S.STS=version"), ErrReply)
	}
	return ParseBuild(v), nil
}
