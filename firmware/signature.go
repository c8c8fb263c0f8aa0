package firmware

import (
	"fmt"

	"aead.dev/minisign"
)

const (
	// SignatureSuffix is added to an image's file name to find its detached
	// minisign signature.
	SignatureSuffix = ".minisig"
	maxSignature    = 8 << 10
	maxComment      = 120
)

// verify gives the id of the key that signed data, or "unsigned" where that is
// allowed. sig is nil when there is none.
func (t Trust) verify(data, sig []byte) (string, error) {
	if sig == nil {
		if t.AllowUnsigned {
			return Unsigned, nil
		}
		return "", fmt.Errorf("%w: there is no %s file beside it; sign it with minisign, or allow unsigned images", ErrUnsigned, SignatureSuffix)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(sig); err != nil {
		return "", fmt.Errorf("%w: its %s file is malformed: %v", ErrSignature, SignatureSuffix, err)
	}
	id := fmt.Sprintf("%016X", s.KeyID)
	for _, key := range t.Keys {
		if key.ID() != s.KeyID {
			continue
		}
		if minisign.Verify(key, data, sig) {
			return id, nil
		}
		return "", fmt.Errorf("%w: it does not hold under key %s (comment %.*q)", ErrSignature, id, maxComment, s.UntrustedComment)
	}
	if t.AllowUnsigned {
		return Unsigned, nil
	}
	return "", fmt.Errorf("%w by a trusted key: it is signed by %s, which is none of the %d keys of this lab", ErrUnsigned, id, len(t.Keys))
}
