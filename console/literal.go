package console

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxLiterals bounds how many alternatives a prefilter looks for.
const maxLiterals = 16

// requiredLiterals returns texts of which at least one is in every match of the
// expression; nil when no such texts are known. Looking for them first lets
// the matcher pass over noise at the speed of memory.
func requiredLiterals(expr string) []string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil // a POSIX expression; it is matched without a prefilter
	}
	return literals(re.Simplify())
}

func literals(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return oneLiteral(re)
	case syntax.OpCapture, syntax.OpPlus:
		return literals(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literals(re.Sub[0])
		}
	case syntax.OpCharClass:
		return classLiterals(re)
	case syntax.OpConcat:
		return concatLiterals(re.Sub)
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			l := literals(sub)
			if l == nil || len(all)+len(l) > maxLiterals {
				return nil
			}
			all = append(all, l...)
		}
		return all
	}
	return nil
}

func oneLiteral(re *syntax.Regexp) []string {
	text := string(re.Rune)
	if strings.ContainsRune(text, utf8.RuneError) {
		return nil // it matches any byte that is not UTF-8
	}
	if re.Flags&syntax.FoldCase != 0 && strings.ToLower(text) != strings.ToUpper(text) {
		return nil
	}
	return []string{text}
}

// classLiterals handles the few characters that the parser makes of (a|b).
func classLiterals(re *syntax.Regexp) []string {
	var all []string
	for i := 0; i < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			if len(all) == 4 || r == utf8.RuneError {
				return nil
			}
			all = append(all, string(r))
		}
	}
	return all
}

// concatLiterals picks the part whose texts are longest: any part is required.
func concatLiterals(subs []*syntax.Regexp) []string {
	var best []string
	for _, sub := range subs {
		if l := literals(sub); shortest(l) > shortest(best) {
			best = l
		}
	}
	return best
}

func shortest(l []string) int {
	if len(l) == 0 {
		return 0
	}
	n := len(l[0])
	for _, s := range l {
		n = min(n, len(s))
	}
	return n
}
