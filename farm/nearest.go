package farm

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// nearestWords bounds how many suggestions Nearest makes.
const nearestWords = 3

// nearestLength bounds the words that are compared, in runes: what is longer
// is no typing slip, and the comparison is quadratic.
const nearestLength = 64

// Nearest gives the known words that a person may have meant by word, best
// first and at most three. Case does not matter. It gives nil when nothing is
// near.
func Nearest(word string, known []string) []string {
	if word == "" || utf8.RuneCountInString(word) > nearestLength {
		return nil
	}
	type hit struct {
		word     string
		distance int
	}
	var hits []hit
	lower := strings.ToLower(word)
	reach := max(1, utf8.RuneCountInString(word)/3)
	for _, k := range known {
		if k == word || utf8.RuneCountInString(k) > nearestLength {
			continue
		}
		d := editDistance(lower, strings.ToLower(k))
		if d > reach && len(lower) >= 3 && strings.HasPrefix(strings.ToLower(k), lower) {
			d = reach
		}
		if d <= reach {
			hits = append(hits, hit{k, d})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.word, b.word)
	})
	var words []string
	for _, h := range hits {
		if len(words) < nearestWords && !slices.Contains(words, h.word) {
			words = append(words, h.word)
		}
	}
	return words
}

// didYouMean gives "did you mean a or b?", or "" when nothing is near.
func didYouMean(word string, known []string) string {
	near := Nearest(word, known)
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(near, " or ") + "?"
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours (optimal string alignment) between two words.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
