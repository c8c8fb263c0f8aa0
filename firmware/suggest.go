package firmware

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxName bounds the work of comparing names.
const maxName = 128

// maxListed bounds how many names an error lists.
const maxListed = 12

// suggest gives "; did you mean ...?" with the nearest names, and lists what
// is known.
func suggest(name string, known []string) string {
	if len(known) == 0 {
		return "; none are known"
	}
	list := strings.Join(known[:min(maxListed, len(known))], ", ")
	if more := len(known) - maxListed; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	list = "; known: " + list
	type near struct {
		name     string
		distance int
	}
	var all []near
	for _, k := range known {
		if len(k) > maxName || len(name) > maxName {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= 1+len(name)/2 {
			all = append(all, near{k, d})
		}
	}
	slices.SortFunc(all, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	all = slices.Compact(all)
	if len(all) == 0 {
		return list
	}
	var names []string
	for _, n := range all[:min(3, len(all))] {
		names = append(names, fmt.Sprintf("%q", n.name))
	}
	return "; did you mean " + strings.Join(names, ", ") + "?" + list
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
