package reports

import "fmt"

// sgr is the terminal's colour of an outcome (ECMA-48 SGR).
func sgr(o Outcome) string {
	switch o {
	case Passed:
		return "32"
	case Failed:
		return "31"
	case Errored, Flaky:
		return "33"
	case Inconclusive:
		return "35"
	case Recorded:
		return "34"
	}
	return "2"
}

func paint(opt TextOptions, o Outcome, text string) string {
	return escape(opt.Color, sgr(o), text)
}

func bold(opt TextOptions, o Outcome, text string) string {
	return escape(opt.Color, "1;"+sgr(o), text)
}

func dim(opt TextOptions, text string) string { return escape(opt.Color, "2", text) }

func escape(on bool, code, text string) string {
	if !on || text == "" {
		return text
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[0m", code, text)
}
