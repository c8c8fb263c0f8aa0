package reports_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"hil-runner/reports"
)

// hostileTexts are things that a device, a file name or a certificate might
// say: more than 200 of them.
func hostileTexts() []string {
	bare := []string{
		"<script>alert(1)</script>", "<ScRiPt/x>alert(1)</sCrIpT >", "<svg/onload=alert(1)>", "<svg><script>alert(1)</script></svg>",
		"<img src=x onerror=alert(1)>", "<iframe src=javascript:alert(1)>", "<object data=x>", "<embed src=x>", "<base href=//evil.example/>",
		"<link rel=stylesheet href=//evil.example/x.css>", "<meta http-equiv=refresh content=0;url=//evil.example>", "<form action=//evil.example><input>",
		"<style>*{display:none}</style>", "<math><mi xlink:href=javascript:alert(1)>x", "<video><source onerror=alert(1)>", "<body onload=alert(1)>",
		"<details open ontoggle=alert(1)>", "<a href=javascript:alert(1)>x</a>", "javascript:alert(1)", "data:text/html,<script>alert(1)</script>",
		"+ADw-script+AD4-alert(1)+ADw-/script+AD4-", "\u202e<script>\u202c", "\u200b<scr\u200bipt>", "\x00<script>\x00", "\xff\xfe<\x00s\x00",
		"]]><script/>", "<!--", "--><script>", "<![CDATA[", "&lt;script&gt;", "&#60;script&#62;", "{{.CSS}}", "${7*7}", "\x1b]8;;http://evil.example\x07x",
		"=cmd|' /C calc'!A0", "\r\nContent-Type: text/html\r\n", "../../../etc/passwd", "#\" onclick=alert(1) x=\"",
		"\u2028alert(1)\u2029", "\u1806\ufeff", "<plaintext>",
	}
	var all []string
	for _, s := range bare {
		all = append(all, s, `">`+s, `'>`+s, "</pre></style></title></textarea>"+s, "x "+s+" y\n"+s)
	}
	return all
}

// Elements and attributes that the pages are made of; all others came from
// somebody else.
var (
	ownElements   = strings.Fields("html head meta title style body header span div h1 h2 h3 p b i ul li dl dt dd main section article table caption thead tbody tr th td a small br pre code details summary footer nav")
	ownAttributes = strings.Fields("lang charset http-equiv content name class id href title scope colspan open aria-hidden")
)

// checkPage says what in a page is not ours, is able to run or leads out.
func checkPage(page []byte) []string {
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	n := make(map[string]int)
	for node := range doc.Descendants() {
		if node.Type == html.CommentNode {
			bad = append(bad, "a comment: "+node.Data)
		}
		if node.Type != html.ElementNode {
			continue
		}
		n[node.Data]++
		if !slices.Contains(ownElements, node.Data) {
			bad = append(bad, "element "+node.Data)
		}
		for _, a := range node.Attr {
			if !slices.Contains(ownAttributes, a.Key) {
				bad = append(bad, fmt.Sprintf("attribute %s on %s", a.Key, node.Data))
			}
			if a.Key != "href" {
				continue
			}
			u, err := url.Parse(a.Val)
			if err != nil || u.Scheme != "" || u.Host != "" || strings.HasPrefix(u.Path, "/") {
				bad = append(bad, "link "+a.Val)
			}
		}
	}
	if n["style"] != 1 || n["meta"] != 5 {
		bad = append(bad, fmt.Sprintf("%d styles, %d metas", n["style"], n["meta"]))
	}
	return bad
}

func TestPagesAreInert(t *testing.T) {
	texts := hostileTexts()
	if len(texts) < 200 {
		t.Fatalf("only %d payloads", len(texts))
	}
	for i, text := range texts {
		run := shortRun()
		run.Boards = run.Boards[i%2:][:1]
		fill(run, text)
		var page bytes.Buffer
		if err := reports.EncodePage(&page, run); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for _, bad := range checkPage(page.Bytes()) {
			t.Errorf("%q: %s", text, bad)
		}
	}
}

// A serial log full of payloads stays text, in its page and in the excerpts.
func TestHostileLogIsInert(t *testing.T) {
	texts := hostileTexts()
	store, err := reports.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	run := shortRun()
	run.Boards = run.Boards[:1]
	b := &run.Boards[0]
	b.Board = "</a><script>alert(1)</script>/../../x"
	one := b.Results[4]
	b.Results = nil
	for i := 0; i < len(texts); i += 8 {
		one.Case.ID = fmt.Sprintf("tls/one_way/X%d", i)
		one.LogLine = i + 1 // every line is in some excerpt
		b.Results = append(b.Results, one)
	}
	folder, err := store.Create(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	log, name, err := folder.CreateLog(b.Board)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		fmt.Fprintf(log, "2026-08-02 03:15:02.118 <- %s\n", strings.ReplaceAll(text, "\n", " "))
	}
	if err := log.Commit(); err != nil {
		t.Fatal(err)
	}
	b.SerialLog = name
	if err := folder.Save(run, nil); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{reports.PageFile, filepath.Join(filepath.Dir(name), "serial.html")} {
		data, err := os.ReadFile(filepath.Join(folder.Path(), page))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range checkPage(data) {
			t.Errorf("%s: %s", page, bad)
		}
		if !bytes.Contains(data, []byte("&lt;script&gt;alert(1)&lt;/script&gt;")) {
			t.Errorf("%s does not show the payload as text", page)
		}
	}
}

// The policy allows the one style element, by its hash, and nothing else.
func TestContentPolicy(t *testing.T) {
	run := mixedRun()
	folder := save(t, t.TempDir(), run)
	for _, name := range []string{reports.PageFile, "boards/b01/serial.html"} {
		data, err := os.ReadFile(filepath.Join(folder.Path(), name))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		policy := attribute(t, data, "meta", "http-equiv", "Content-Security-Policy", "content")
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
		if policy != want {
			t.Errorf("%s: policy %q, want %q", name, policy, want)
		}
		for _, word := range []string{"url(", "@import", "http:", "https://", "src="} {
			if strings.Contains(style, word) {
				t.Errorf("the style holds %s", word)
			}
		}
	}
}

// attribute is the attribute get of the first element whose attribute key has
// the value want.
func attribute(t *testing.T, page []byte, element, key, want, get string) string {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for node := range doc.Descendants() {
		if node.Type != html.ElementNode || node.Data != element {
			continue
		}
		values := make(map[string]string)
		for _, a := range node.Attr {
			values[a.Key] = a.Val
		}
		if values[key] == want {
			return values[get]
		}
	}
	return ""
}

// Every link of the report leads somewhere: to an anchor of the page, to a
// file of the run, to a line of a log page.
func TestLinksLead(t *testing.T) {
	run := mixedRun()
	folder := save(t, t.TempDir(), run)
	known := make(map[string]map[string]bool)
	for _, from := range []string{reports.PageFile, "boards/b02/serial.html"} {
		links, _ := linksAndAnchors(t, filepath.Join(folder.Path(), from))
		if len(links) < 10 {
			t.Errorf("%s has %d links", from, len(links))
		}
		for _, link := range links {
			u, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(folder.Path(), from)
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(target), filepath.FromSlash(u.Path))
			}
			if u.Fragment == "" {
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s: link %s: %v", from, link, err)
				}
				continue
			}
			if known[target] == nil {
				_, known[target] = linksAndAnchors(t, target)
			}
			if !known[target][u.Fragment] {
				t.Errorf("%s: link %s leads to no anchor", from, link)
			}
		}
	}
	page, err := os.ReadFile(filepath.Join(folder.Path(), reports.PageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`href="boards/b01/serial.html#L96"`, "1m 42s side by side", "bad_certificate_accepted",
		"Release 3.0.0 is a virtual image and unsigned", "exit 1: a spec failed", "unasked_reset", "amazon-shaped-local",
	} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func linksAndAnchors(t *testing.T, path string) ([]string, map[string]bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var links []string
	anchors := make(map[string]bool)
	for node := range doc.Descendants() {
		for _, a := range node.Attr {
			switch a.Key {
			case "href":
				links = append(links, a.Val)
			case "id":
				if anchors[a.Val] {
					t.Errorf("%s: id %s is there twice", path, a.Val)
				}
				anchors[a.Val] = true
			}
		}
	}
	return links, anchors
}

// A log of a long night makes a page that opens: the start, the places that
// the report points at, and a word on what is left out.
func TestLongLog(t *testing.T) {
	store, err := reports.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	run := shortRun()
	run.Boards = run.Boards[:1]
	b := &run.Boards[0]
	result(run, 0, "tls/one_way/N03").LogLine = 60000
	folder, err := store.Create(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	log, name, err := folder.CreateLog(b.Board)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(log, serialLog(80000)+strings.Repeat("x", 1<<20)+"\nend without newline"); err != nil {
		t.Fatal(err)
	}
	if err := log.Commit(); err != nil {
		t.Fatal(err)
	}
	b.SerialLog = name
	if err := folder.Save(run, nil); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(folder.Path(), filepath.Dir(name), "serial.html")
	_, anchors := linksAndAnchors(t, page)
	for anchor, want := range map[string]bool{"L1": true, "L2000": true, "L2001": false, "L59699": false, "L59700": true, "L60000": true, "L60300": true,
		"L60301": false, "L79702": false, "L79703": true, "L80002": true} {
		if anchors[anchor] != want {
			t.Errorf("anchor %s: %v, want %v", anchor, anchors[anchor], want)
		}
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("57699 lines are left out here")) {
		t.Error("the page does not say how much it leaves out")
	}
	lines, err := folder.LogLines(b, 80001, 80010)
	if err != nil || len(lines) != 2 || len(lines[0]) > 5000 || !strings.Contains(lines[0], "bytes more]") || lines[1] != "end without newline" {
		t.Errorf("the last lines: %d, %v", len(lines), err)
	}
}
