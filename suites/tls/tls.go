// Package tls is the suite over the module's TLS authentication modes. Each
// negative stands between two positive controls on a server of the same kind,
// and counts only when the server's own log saw the module's ClientHello and
// agrees with the reason. Servers prove what they are by their key.
package tls
