package reports

import "fmt"

// Exit codes of hil-runner. When several hold, the first of 130, 5, 1, 3
// decides.
const (
	ExitPassed      = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInfra       = 3
	ExitNoBoard     = 4
	ExitLeaseLost   = 5
	ExitInterrupted = 130
)

// Exit is one exit code and what it tells the caller.
type Exit struct {
	Code    int
	Meaning string
}

// Exits is the table of exit codes, for help and for reports.
func Exits() []Exit {
	return []Exit{
		{ExitPassed, "passed"},
		{ExitFailed, "a spec failed"},
		{ExitUsage, "usage or configuration error"},
		{ExitInfra, "infrastructure error, inconclusive or incomplete"},
		{ExitNoBoard, "no board to be had in time"},
		{ExitLeaseLost, "lease lost"},
		{ExitInterrupted, "interrupted"},
	}
}

// ExitMeaning says what an exit code of hil-runner means.
func ExitMeaning(code int) string {
	for _, e := range Exits() {
		if e.Code == code {
			return e.Meaning
		}
	}
	return fmt.Sprintf("unknown exit code %d", code)
}
