package farm

import (
	"fmt"
	"slices"
	"strings"
)

// Select picks boards out of a lab: those named by ids, in that order, or
// those that carry all the tags, in the lab's order; ids and tags together
// mean the named boards that carry the tags. count 0 means all of them,
// otherwise the first count. The tag keys "id", "model", "slot" and "virtual"
// stand for the board's own fields unless the board has such a tag. What does not exist is
// a UsageError with a near match.
func Select(boards []Board, ids []string, tags map[string]string, count int) ([]Board, error) {
	if count < 0 {
		return nil, &UsageError{Text: fmt.Sprintf("%d boards were asked for", count)}
	}
	picked := boards
	if len(ids) > 0 {
		var err error
		if picked, err = byID(boards, ids); err != nil {
			return nil, err
		}
	}
	if len(tags) > 0 {
		tagged := slices.DeleteFunc(slices.Clone(picked), func(b Board) bool { return !carries(b, tags) })
		if len(tagged) == 0 {
			return nil, noneCarries(picked, tags)
		}
		picked = tagged
	}
	if len(picked) == 0 {
		return nil, &UsageError{Text: "the lab has no boards"}
	}
	if count > len(picked) {
		return nil, &UsageError{Text: fmt.Sprintf("%d boards were asked for, %d are there", count, len(picked))}
	}
	if count > 0 {
		picked = picked[:count]
	}
	return slices.Clone(picked), nil
}

// ParseTags reads filters of the form key=value.
func ParseTags(filters []string) (map[string]string, error) {
	if len(filters) == 0 {
		return nil, nil
	}
	tags := make(map[string]string, len(filters))
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok || key == "" {
			return nil, &UsageError{Text: fmt.Sprintf("tag filter %q is not of the form key=value", f), Hint: "write -t model=SPWF01SA"}
		}
		if old, twice := tags[key]; twice && old != value {
			return nil, &UsageError{Text: fmt.Sprintf("no board can carry both %s=%s and %s=%s", key, old, key, value)}
		}
		tags[key] = value
	}
	return tags, nil
}

func byID(boards []Board, ids []string) ([]Board, error) {
	known := make([]string, len(boards))
	for i, b := range boards {
		known[i] = b.ID
	}
	var picked []Board
	for _, id := range ids {
		i := slices.Index(known, id)
		if i < 0 {
			hint := didYouMean(id, known)
			if hint == "" {
				hint = "the lab has " + list(known)
			}
			return nil, &UsageError{Text: fmt.Sprintf("no board %q", id), Hint: hint}
		}
		if !slices.ContainsFunc(picked, func(b Board) bool { return b.ID == id }) {
			picked = append(picked, boards[i])
		}
	}
	return picked, nil
}

func carries(b Board, tags map[string]string) bool {
	for key, want := range tags {
		if got, ok := tagOf(b, key); !ok || got != want {
			return false
		}
	}
	return true
}

func tagOf(b Board, key string) (string, bool) {
	if v, ok := b.Tags[key]; ok {
		return v, true
	}
	switch key {
	case "id":
		return b.ID, true
	case "model":
		return b.Model, true
	case "slot":
		return b.Slot, b.Slot != ""
	case "virtual":
		return fmt.Sprint(b.Virtual), true
	}
	return "", false
}

// noneCarries explains an empty selection by the first tag that no board has,
// or says that only the combination is missing.
func noneCarries(boards []Board, tags map[string]string) error {
	keys, values := make(map[string]bool), make(map[string]map[string]bool)
	for _, b := range boards {
		own := []string{"id", "model", "slot", "virtual"}
		for key := range b.Tags {
			own = append(own, key)
		}
		for _, key := range own {
			if v, ok := tagOf(b, key); ok {
				keys[key] = true
				if values[key] == nil {
					values[key] = make(map[string]bool)
				}
				values[key][v] = true
			}
		}
	}
	for _, key := range sortedKeys(tags) {
		if !keys[key] {
			return &UsageError{Text: fmt.Sprintf("no board has a tag %q", key), Hint: hintFor(key, sortedKeys(keys))}
		}
		if !values[key][tags[key]] {
			return &UsageError{Text: fmt.Sprintf("no board has %s=%s", key, tags[key]), Hint: hintFor(tags[key], sortedKeys(values[key]))}
		}
	}
	return &UsageError{Text: "no board carries all of these tags together"}
}

func hintFor(word string, known []string) string {
	if hint := didYouMean(word, known); hint != "" {
		return hint
	}
	return "there is " + list(known)
}

// list names a few words and counts the rest.
func list(words []string) string {
	const most = 8
	if len(words) == 0 {
		return "none"
	}
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
