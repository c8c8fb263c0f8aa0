package console

import (
	"bytes"
	"context"

	"hil-runner/recorder"
)

// Expect waits for the first line of the board, in what the journal has from an
// offset on, that one of the patterns matches. It returns the match, which is
// the caller's, and the offset after the record in which the line ends. The
// lines are looked at where they are recorded: noise wakes nobody.
func Expect(ctx context.Context, j *recorder.Journal, from recorder.Offset, patterns ...Pattern) (Match, recorder.Offset, error) {
	c := j.Cursor(from)
	defer c.Close()
	c.Urgent(true)
	m := NewMatcher(patterns...)
	var first *Match
	c.Skip(func(r recorder.Record) bool {
		if r.Kind == recorder.KindRx && first == nil {
			m.Feed(r.Data, func(f Match) {
				if first == nil {
					f = f.clone()
					first = &f
				}
			})
		}
		return first == nil
	})
	if _, err := c.Next(ctx); err != nil {
		return Match{}, c.Offset(), err
	}
	return *first, c.Offset(), nil
}

func (m Match) clone() Match {
	m.Line = bytes.Clone(m.Line)
	groups := make([][]byte, len(m.Groups))
	for i, g := range m.Groups {
		groups[i] = bytes.Clone(g)
	}
	m.Groups = groups
	return m
}
