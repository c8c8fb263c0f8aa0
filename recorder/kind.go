package recorder

import "fmt"

// kindNames are the words that the rendered log uses.
func (k Kind) name() string {
	switch k {
	case KindRx:
		return "rx"
	case KindTx:
		return "tx"
	case KindReset:
		return "reset"
	case KindPower:
		return "power"
	case KindBoot:
		return "boot"
	case KindFlash:
		return "flash"
	case KindLease:
		return "lease"
	case KindSpec:
		return "spec"
	case KindEndpoint:
		return "endpoint"
	case KindControl:
		return "control"
	case KindWatch:
		return "watch"
	case KindNote:
		return "note"
	case KindSeal:
		return "seal"
	}
	return ""
}

// String returns the word for the kind, "kind 77" for one that this version
// does not know.
func (k Kind) String() string {
	if s := k.name(); s != "" {
		return s
	}
	return fmt.Sprintf("kind %d", uint8(k))
}
