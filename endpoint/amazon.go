package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hil-runner/fixtures/certs"
)

// TokenPath is the path of Login with Amazon's token service.
const TokenPath = "/auth/o2/token"

// Bounds of one HTTP request.
const (
	maxRequestHead = 16 << 10
	maxRequestBody = 64 << 10
)

// AmazonShaped is a server that answers POST /auth/o2/token as api.amazon.com
// does, from a chain of the same shape and size. Its names and roots are the
// lab's, so that a client with a real Amazon root refuses it.
type AmazonShaped struct {
	*Server
	// Shape has the roots that a client may be given.
	Shape certs.AmazonShape
}

// StartAmazonShaped starts one. Of cfg, Identity is made here and the rest
// counts; without versions it speaks TLS 1.2 only, as Amazon's endpoints do at
// least. keys makes the chain for cfg.At, or for this host's clock.
func StartAmazonShaped(ctx context.Context, keys *certs.Pool, cfg Config) (*AmazonShaped, error) {
	shape, err := certs.NewAmazonShape(keys, cfg.now())
	if err != nil {
		return nil, err
	}
	cfg.Identity = shape.Identity
	if cfg.MinVersion == 0 && cfg.MaxVersion == 0 {
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	}
	s, err := start(ctx, cfg, KindAmazonShaped, tokenService{})
	if err != nil {
		return nil, err
	}
	return &AmazonShaped{Server: s, Shape: shape}, nil
}

// tokenService answers HTTP/1.1 requests, several on a connection.
type tokenService struct{}

func (tokenService) serve(c *appConn) error {
	limited := &io.LimitedReader{R: c}
	r := bufio.NewReaderSize(limited, 4096)
	for {
		limited.N = maxRequestHead
		req, err := http.ReadRequest(r)
		if err != nil {
			return badRequest(c, limited, err)
		}
		limited.N = maxRequestBody + 1
		body, err := io.ReadAll(io.LimitReader(req.Body, maxRequestBody+1))
		if err != nil {
			return badRequest(c, limited, err)
		}
		a := answerToken(req, body)
		keep := !req.Close && len(body) <= maxRequestBody && req.ProtoAtLeast(1, 1)
		// The target is the client's own text and goes to the log quoted.
		detail := fmt.Sprintf("%s %.200q %d", req.Method, req.URL.Path, a.status)
		if err := c.write(a.bytes(keep), EventRequest, detail); err != nil {
			return err
		}
		if !keep {
			return errServed
		}
	}
}

// badRequest answers what is no HTTP request, unless the client is just gone.
func badRequest(c *appConn, limited *io.LimitedReader, err error) error {
	var timeout interface{ Timeout() bool }
	_, alert := remoteAlert(err)
	switch {
	case errors.Is(err, io.EOF) && limited.N > 0:
		return io.EOF
	case alert, errors.Is(err, errLimit), errors.As(err, &timeout) && timeout.Timeout():
		return err
	case closeKind(err) != CloseError && limited.N > 0:
		return err
	}
	a := invalidRequest("The request is not valid HTTP")
	if werr := c.write(a.bytes(false), EventRequest, "not HTTP 400"); werr != nil {
		return werr
	}
	return errServed
}

// answer is one HTTP response.
type answer struct {
	status int
	body   any
	allow  string
}

// tokenError is the service's answer to a refusal (RFC 6749 5.2).
type tokenError struct {
	Description string `json:"error_description"`
	Error       string `json:"error"`
}

func invalidRequest(text string) answer {
	return answer{status: http.StatusBadRequest, body: tokenError{text, "invalid_request"}}
}

// answerToken never gives a token: no client is known here. The texts are those
// that users of the service report.
func answerToken(req *http.Request, body []byte) answer {
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case req.URL.Path != TokenPath:
		return answer{status: http.StatusNotFound, body: tokenError{"There is nothing here", "not_found"}}
	case req.Method != http.MethodPost:
		return answer{status: http.StatusMethodNotAllowed, allow: "POST", body: tokenError{"Use POST", "invalid_request"}}
	case len(body) > maxRequestBody:
		return answer{status: http.StatusRequestEntityTooLarge, body: tokenError{"The request is too large", "invalid_request"}}
	case err != nil || kind != "application/x-www-form-urlencoded":
		return invalidRequest("Content type is not supported")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return invalidRequest("The request is malformed")
	}
	if form.Get("grant_type") == "" {
		return invalidRequest("The request is missing a required parameter : grant_type")
	}
	switch form.Get("grant_type") {
	case "authorization_code", "refresh_token", "client_credentials":
	default:
		return answer{status: http.StatusBadRequest,
			body: tokenError{"The authorization grant type is not supported by the authorization server", "unsupported_grant_type"}}
	}
	if form.Get("client_id") == "" && req.Header.Get("Authorization") == "" {
		return invalidRequest("The request is missing a required parameter : client_id")
	}
	return answer{status: http.StatusUnauthorized, body: tokenError{"Client authentication failed", "invalid_client"}}
}

func (a answer) bytes(keep bool) []byte {
	body, err := json.Marshal(a.body)
	if err != nil {
		body = []byte("{}") // two strings always marshal
	}
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("HTTP/1.1 %d %s", a.status, http.StatusText(a.status))
	line("Server: Server")
	line("Date: %s", time.Now().UTC().Format(http.TimeFormat))
	line("Content-Type: application/json;charset=UTF-8")
	line("Content-Length: %d", len(body))
	id := strings.ToLower(rand.Text() + rand.Text())
	line("x-amzn-RequestId: %s-%s-%s-%s-%s", id[:8], id[8:12], id[12:16], id[16:20], id[20:32])
	line("Cache-Control: no-cache, no-store, must-revalidate")
	line("Pragma: no-cache")
	line("Vary: Content-Type,Accept-Encoding,User-Agent")
	if a.allow != "" {
		line("Allow: %s", a.allow)
	}
	if a.status == http.StatusUnauthorized {
		line("WWW-Authenticate: Basic")
	}
	if keep {
		line("Connection: keep-alive")
	} else {
		line("Connection: close")
	}
	line("")
	b.Write(body)
	return b.Bytes()
}

// TokenRequest is a POST to the token service with a client that does not
// exist: the request that needs no account. agent names the lab.
func TokenRequest(host, agent string) []byte {
	body := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {"none"},
		"client_id":     {"hil-runner"},
		"client_secret": {"none"},
	}.Encode()
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n"+
		"Content-Type: application/x-www-form-urlencoded;charset=UTF-8\r\nContent-Length: %d\r\n"+
		"Accept: application/json\r\nConnection: close\r\n\r\n%s", TokenPath, host, headerText(agent), len(body), body)
}

// headerText keeps a value from becoming more than one header line.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
}

// CheckTokenAnswer tells whether an HTTP response, as a client received it, is
// what the token service gives to an unknown client: status 400 or 401 and a
// JSON object with a non-empty "error". More fields are allowed.
func CheckTokenAnswer(response []byte) (status int, err error) {
	return readTokenAnswer(bytes.NewReader(response))
}

// readTokenAnswer reads no further than the response's own end.
func readTokenAnswer(r io.Reader) (status int, err error) {
	res, err := http.ReadResponse(bufio.NewReader(io.LimitReader(r, maxRequestHead+maxRequestBody)), nil)
	if err != nil {
		return 0, fmt.Errorf("endpoint: not an HTTP response: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRequestBody))
	if err != nil {
		return res.StatusCode, fmt.Errorf("endpoint: body of the HTTP response: %w", err)
	}
	if res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnauthorized {
		return res.StatusCode, fmt.Errorf("endpoint: HTTP status %d; want 400 or 401", res.StatusCode)
	}
	var object struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return res.StatusCode, fmt.Errorf("endpoint: the answer is not a JSON object: %w", err)
	}
	if object.Error == "" {
		return res.StatusCode, errors.New(`endpoint: the answer has no "error"`)
	}
	return res.StatusCode, nil
}
