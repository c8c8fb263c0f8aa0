package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
)

// AlertCode is the description of a TLS alert (RFC 5246 7.2, RFC 8446 6).
type AlertCode uint8

// The alerts that suites decide on. Others print as numbers.
const (
	AlertCloseNotify            AlertCode = 0
	AlertUnexpectedMessage      AlertCode = 10
	AlertBadRecordMAC           AlertCode = 20
	AlertHandshakeFailure       AlertCode = 40
	AlertNoCertificate          AlertCode = 41
	AlertBadCertificate         AlertCode = 42
	AlertUnsupportedCertificate AlertCode = 43
	AlertCertificateRevoked     AlertCode = 44
	AlertCertificateExpired     AlertCode = 45
	AlertCertificateUnknown     AlertCode = 46
	AlertIllegalParameter       AlertCode = 47
	AlertUnknownCA              AlertCode = 48
	AlertAccessDenied           AlertCode = 49
	AlertDecodeError            AlertCode = 50
	AlertDecryptError           AlertCode = 51
	AlertProtocolVersion        AlertCode = 70
	AlertInsufficientSecurity   AlertCode = 71
	AlertInternalError          AlertCode = 80
	AlertUserCanceled           AlertCode = 90
	AlertNoRenegotiation        AlertCode = 100
	AlertUnsupportedExtension   AlertCode = 110
	AlertUnrecognizedName       AlertCode = 112
	AlertCertificateRequired    AlertCode = 116
)

var alertNames = map[AlertCode]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
	22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
	45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca",
	49: "access_denied", 50: "decode_error", 51: "decrypt_error", 60: "export_restriction",
	70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
	109: "missing_extension", 110: "unsupported_extension", 111: "certificate_unobtainable",
	112: "unrecognized_name", 113: "bad_certificate_status_response", 115: "unknown_psk_identity",
	116: "certificate_required", 120: "no_application_protocol",
}

// String gives the name that the RFCs use, such as "unknown_ca".
func (c AlertCode) String() string {
	if name, ok := alertNames[c]; ok {
		return name
	}
	return fmt.Sprintf("alert_%d", uint8(c))
}

// CertificateProblem tells whether the alert says that its sender did not like
// the peer's certificate or who signed it.
func (c AlertCode) CertificateProblem() bool {
	return c >= AlertNoCertificate && c <= AlertCertificateUnknown || c == AlertUnknownCA ||
		c == AlertAccessDenied || c == AlertCertificateRequired
}

// Alert is one alert on the wire.
type Alert struct {
	// Fatal is false for a warning, close_notify included.
	Fatal bool      `json:"fatal"`
	Code  AlertCode `json:"code"`
	// Encrypted alerts are known from the TLS stack's own words and not from
	// the wire.
	Encrypted bool `json:"encrypted,omitempty"`
}

// String gives "fatal unknown_ca (48)".
func (a Alert) String() string {
	level := "warning"
	if a.Fatal {
		level = "fatal"
	}
	return fmt.Sprintf("%s %s (%d)", level, a.Code, uint8(a.Code))
}

// remoteAlert finds the alert that the peer sent in an error of crypto/tls.
func remoteAlert(err error) (AlertCode, bool) { return opAlert(err, "remote error") }

// localAlert finds the alert that crypto/tls itself sent. It only tells it for
// some errors, and for others the cause tells it.
func localAlert(err error) (AlertCode, bool) {
	if code, ok := opAlert(err, "local error"); ok {
		return code, true
	}
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		var invalid x509.CertificateInvalidError
		var unknown x509.UnknownAuthorityError
		switch {
		case errors.As(bad.Err, &unknown):
			return AlertUnknownCA, true
		case errors.As(bad.Err, &invalid) && invalid.Reason == x509.Expired:
			return AlertCertificateExpired, true
		}
		return AlertBadCertificate, true
	}
	if err != nil && strings.Contains(err.Error(), "client didn't provide a certificate") {
		return AlertCertificateRequired, true
	}
	return 0, false
}

// opAlert reads the number out of crypto/tls's unexported type of alert, which
// is an integer like its exported AlertError.
func opAlert(err error, op string) (AlertCode, bool) {
	var opErr *net.OpError
	if !errors.As(err, &opErr) || opErr.Op != op || opErr.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(opErr.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return AlertCode(v.Uint()), true
}
