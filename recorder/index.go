package recorder

import (
	"cmp"
	"slices"
	"sort"
)

// Index tells on which line of a rendered log a record is shown. Lines are
// counted from 1.
type Index struct {
	places []placed
	sorted bool
}

type placed struct {
	at   Offset
	line int
}

func (x *Index) add(at Offset, line int) {
	x.places = append(x.places, placed{at, line})
	x.sorted = false
}

// Line returns the line on which the record at an offset begins; for a record
// that shows nothing, or an offset between two, the line of what is before it.
// ok is false when there is no such line.
func (x *Index) Line(at Offset) (line int, ok bool) {
	if !x.sorted {
		// Lines of both ways end out of turn.
		slices.SortStableFunc(x.places, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
		x.sorted = true
	}
	i := sort.Search(len(x.places), func(i int) bool { return x.places[i].at > at })
	if i == 0 {
		return 0, false
	}
	return x.places[i-1].line, true
}
