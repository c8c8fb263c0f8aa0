package hilrunner_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "hil-runner/"

// allowed says which of our packages each package may import. A package is
// governed by its longest prefix here; packages whose name ends in "test" may
// also import what they test.
var allowed = map[string][]string{
	"recorder":       {},
	"firmware":       {},
	"spwf":           {},
	"gpio":           {},
	"fixtures/certs": {},
	"farm/virtlab":   {"farm/virtlab"},
	"console":        {"recorder"},
	"reports":        {"recorder"},
	"endpoint":       {"fixtures/certs"},
	"farm":           {"firmware", "recorder", "reports"},
	"farm/farmtest":  {"farm", "recorder", "reports"},
	"farm/link":      {"farm", "recorder", "reports"},
	"farm/hostlab":   {"farm", "gpio", "console", "spwf", "firmware", "recorder", "reports"},
	"suites":         {"suites", "farm", "spwf", "endpoint", "fixtures/certs", "recorder", "reports"},
	"cmd":            {""},
}

// onlySuites are reached from production code by suites and cmd alone.
var onlySuites = []string{"testing", "github.com/onsi/ginkgo/v2", "github.com/onsi/gomega"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// TestImportDirection keeps the layers of docs/ARCHITECTURE.md: a newcomer who
// reads a package needs only what stands below it.
func TestImportDirection(t *testing.T) {
	for _, pkg := range list(t) {
		name := strings.TrimPrefix(pkg.ImportPath, module)
		if name == pkg.ImportPath {
			continue // the root package holds only this test
		}
		rule, layer := governs(name)
		if !layer {
			t.Errorf("package %s stands in no layer: place it in docs/ARCHITECTURE.md and here", name)
			continue
		}
		for _, imp := range pkg.Imports {
			ours, ok := strings.CutPrefix(imp, module)
			if !ok || covered(ours, rule) || strings.HasSuffix(name, "test") && ours == strings.TrimSuffix(name, "/"+lastPart(name)) {
				continue
			}
			t.Errorf("package %s may not import %s", name, ours)
		}
		if strings.HasPrefix(name, "suites") || strings.HasPrefix(name, "cmd/") || strings.HasSuffix(name, "test") {
			continue
		}
		for _, dep := range onlySuites {
			if slices.Contains(pkg.Deps, dep) {
				t.Errorf("package %s reaches %s: only suites and cmd may", name, dep)
			}
		}
	}
}

// TestAllowedPackagesExist keeps the table honest when a package is renamed.
func TestAllowedPackagesExist(t *testing.T) {
	var names []string
	for _, pkg := range list(t) {
		names = append(names, strings.TrimPrefix(pkg.ImportPath, module))
	}
	for name := range allowed {
		if !slices.ContainsFunc(names, func(n string) bool { return n == name || strings.HasPrefix(n, name+"/") }) {
			t.Errorf("the table names package %s, which does not exist", name)
		}
	}
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// governs finds the rule of the longest prefix of name.
func governs(name string) ([]string, bool) {
	best, found := "", false
	for prefix := range allowed {
		if (name == prefix || strings.HasPrefix(name, prefix+"/")) && len(prefix) >= len(best) {
			best, found = prefix, true
		}
	}
	return allowed[best], found
}

// covered reports whether a rule names pkg itself or a folder above it. The
// parts of farm stand in different layers, so farm covers only itself.
func covered(pkg string, rule []string) bool {
	for _, r := range rule {
		if r == "" || pkg == r || r != "farm" && strings.HasPrefix(pkg, r+"/") {
			return true
		}
	}
	return false
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listed
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, pkg)
	}
}
