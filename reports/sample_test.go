package reports_test

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"hil-runner/reports"
)

// sampleStart and sampleID are the injected clock and id of every sample.
var sampleStart = time.Date(2026, 8, 2, 3, 15, 2, 118e6, time.FixedZone("", 2*3600))

const (
	sampleSeed  = 20260802
	sampleBuild = "170111-665d284-SPWF01S"
)

type sampleCase struct{ id, name, kind string }

func sampleCases() []reports.Case {
	var all []reports.Case
	add := func(suite, mode string, cases ...sampleCase) {
		for _, c := range cases {
			id := suite + "/" + c.id
			if mode != "" {
				id = suite + "/" + mode + "/" + c.id
			}
			labels := []string{"suite:" + suite}
			if mode != "" {
				labels = append(labels, "mode:"+mode)
			}
			all = append(all, reports.Case{
				ID: id, Suite: suite, Mode: mode, Name: c.name, EndpointKind: c.kind,
				Labels: labels, Required: c.kind != "amazon-live",
			})
		}
	}
	add("smoke", "", sampleCase{"boot", "a reset brings the banner", ""}, sampleCase{"at", "AT answers OK", ""},
		sampleCase{"version", "the build is the catalogue's", ""}, sampleCase{"nv", "AT&W survives a reset", ""},
		sampleCase{"join", "joins the access point", ""}, sampleCase{"ping", "reaches the endpoint host", ""})
	common := []sampleCase{
		{"C01", "opens, echoes 32 random bytes and closes", "local"},
		{"C02", "openssl s_server as the peer", "local"},
		{"C03", "echoes 4 KiB both ways", "local"},
		{"C04", "reconnects ten times", "local"},
		{"C05", "the peer closes first", "local"},
	}
	add("tls", "anonymous", append(common, sampleCase{"A01", "works with the clock unset", "local"},
		sampleCase{"A02", "accepts an unknown root", "local"}, sampleCase{"A03", "after the forum thread's wrong setup", "local"})...)
	negatives := []sampleCase{
		{"N01", "an expired certificate is refused", "local"},
		{"N02", "a certificate not yet valid is refused", "local"},
		{"N03", "a certificate for another host is refused", "local"},
		{"N04", "an unknown root is refused", "local"},
		{"N05", "nothing connects while the clock is unset", "local"},
	}
	add("tls", "one_way", append(append(append([]sampleCase{}, common...), negatives...),
		sampleCase{"Z01", "POST /auth/o2/token is answered 401", "amazon-shaped-local"},
		sampleCase{"Z02", "the same with the live endpoint", "amazon-live"})...)
	add("tls", "mutual", append(append(append([]sampleCase{}, common...), negatives...),
		sampleCase{"M01", "a required client certificate is absent", "local"},
		sampleCase{"M02", "a client certificate of the wrong CA", "local"},
		sampleCase{"M03", "a client key that does not fit", "local"},
		sampleCase{"K01", "the key never appears on the console", "local"})...)
	return all
}

// greenRun is four virtual boards on which all passed that was asked for.
func greenRun() *reports.Run {
	run := &reports.Run{
		ID: reports.NewRunID(sampleStart, sampleSeed), Tool: "hil-runner v0.1.0 (5c1d7e2)",
		Command: []string{"hil-runner", "run", "--boards", "4", "--suite", "smoke,tls"},
		Lab:     "built-in virtual lab", Host: "bench-2", Owner: "nightly@bench-2", Seed: sampleSeed,
		Started: sampleStart, Ended: sampleStart.Add(8340 * time.Millisecond), Release: "3.0.0",
		Notes: []string{"Release 3.0.0 is a virtual image and unsigned: it proves the lab, not the firmware."},
		Endpoints: []reports.Endpoint{
			{Kind: "local", Name: "tls://127.0.0.1:40443", Engine: "go", Detail: "TLS 1.0 to 1.2, RSA-2048 chain of two"},
			{Kind: "local", Name: "tls://127.0.0.1:40444", Engine: "openssl", Detail: "OpenSSL 3.5.1 s_server"},
			{Kind: "amazon-shaped-local", Name: "https://api.amazon.com (name table)", Engine: "go", Detail: "cross-signed chain, certificate message of 3,866 bytes"},
		},
		Verdict: "passed", ExitCode: reports.ExitPassed,
	}
	for n := range 4 {
		run.Boards = append(run.Boards, sampleBoard(n))
	}
	return run
}

func sampleBoard(n int) reports.BoardRun {
	id := fmt.Sprintf("b%02d", n+1)
	b := reports.BoardRun{
		Board: id, Model: "SPWF01SA", Slot: fmt.Sprintf("rack1/%d", n+1), Port: fmt.Sprintf("/dev/pts/%d", n+3),
		Tags: map[string]string{"antenna": "chip"}, Virtual: true, Build: sampleBuild,
		Flash: &reports.Flash{
			Release: "3.0.0", Build: sampleBuild,
			SHA256:    "9f2b4c6d8e0a1b3c5d7e9f0a2b4c6d8e0a1b3c5d7e9f0a2b4c6d8e0a1b3c5d7e",
			Signature: "virtual, unsigned", Strategy: "dense", Duration: 1210 * time.Millisecond,
			PagesErased: 186, BytesWritten: 380692, BytesRead: 380692, WireBytes: 787204, At115200: 102*time.Second + 400*time.Millisecond, Attempts: 1,
		},
		SerialLog: "boards/" + id + "/serial.log", Parked: true,
	}
	at := sampleStart.Add(1400 * time.Millisecond)
	for i, c := range sampleCases() {
		d := time.Duration(38+(i*37+n*11)%160) * time.Millisecond
		r := reports.Result{
			Case: c, Outcome: reports.Passed, EndpointKind: c.EndpointKind, Started: at, Duration: d,
			Attempts: 1, PassedAttempts: 1,
		}
		if c.EndpointKind == "amazon-live" {
			r = reports.Result{Case: c, Outcome: reports.Skipped, Causes: []reports.Cause{{
				Code: "not_requested", Detail: "--amazon live asks for it; no packet left the lab"}}}
		}
		at = at.Add(d)
		b.Results = append(b.Results, r)
	}
	return b
}

// mixedRun has every outcome, a dead board, a wrong build and incidents.
func mixedRun() *reports.Run {
	run := greenRun()
	run.Verdict, run.ExitCode = "failed", reports.ExitFailed
	run.Command = append(run.Command, "--faults", "bad-night.yaml")
	run.Notes = append(run.Notes, "openssl is not installed: its cases ran against the Go endpoint only.")
	accept := reports.Cause{Code: "bad_certificate_accepted", Detail: "the module completed the handshake with CN=other.hil.test while TLSDOMAIN is tls.hil.test; want a refusal"}
	for n := range 3 {
		r := result(run, n, "tls/one_way/N03")
		r.Outcome, r.Causes, r.LogLine, r.PassedAttempts = reports.Failed, []reports.Cause{accept}, 96+7*n, 0
		r.Message = "Expected\n    <spwf.Socket>: id 0 to api 127.0.0.1:40461\nto be refused, but it is open\n    suites/tls/negative.go:143"
		r.Evidence = []reports.Evidence{
			{Witness: "control", Text: "before: handshake and echo of 32 bytes in 61 ms"},
			{Witness: "module", Text: "AT+S.SOCKON answered ID: 00, OK after 84 ms"},
			{Witness: "endpoint", Text: "ClientHello from 127.0.0.1:51822, SNI none, handshake complete, no alert"},
			{Witness: "control", Text: "after: handshake and echo of 32 bytes in 59 ms"},
		}
	}
	r := result(run, 1, "tls/mutual/C04")
	r.Outcome, r.Attempts, r.PassedAttempts, r.LogLine = reports.Flaky, 3, 2, 240
	r.Causes = []reports.Cause{{Code: "late_indication", Detail: "WIND 24 came 5.2 s after the join, limit 5 s (join)"}}
	r = result(run, 2, "tls/mutual/N05")
	r.Outcome, r.LogLine = reports.Inconclusive, 302
	r.Causes = []reports.Cause{{Code: "control_failed", Detail: "the positive control after the case got no echo within 2 s"}}
	for n := range 3 {
		r = result(run, n, "tls/anonymous/A02")
		r.Outcome, r.Value = reports.Recorded, "ClientHello 3.3, 5 suites, no SNI, sha256 7d61…"
	}
	run.Boards[0].Incidents = []reports.Incident{{
		At: sampleStart.Add(3 * time.Second), Code: "unasked_reset", Text: "banner without a pulse of ours, 118 ms after SOCKON",
		LogLine: 131, CaseID: "tls/one_way/N05",
	}}
	killBoard(&run.Boards[3])
	return run
}

// killBoard makes b a board that stopped answering after its smoke cases.
func killBoard(b *reports.BoardRun) {
	b.Outcome, b.Parked = reports.Errored, false
	b.Causes = []reports.Cause{
		{Class: reports.Infra, Code: "hard_fault", Detail: "WIND 8 with a register dump during tls/anonymous/C02; three resets brought no newer banner within 8 s on " + b.Port + "; check the supply of slot " + b.Slot},
		{Class: reports.Infra, Code: "not_parked", Detail: "reset is held low instead"},
	}
	b.Incidents = []reports.Incident{{
		At: sampleStart.Add(2600 * time.Millisecond), Code: "hard_fault", CaseID: "tls/anonymous/C02", LogLine: 58,
		Text: "+WIND:8:Hard Fault: r0 0x20004f10, lr 0x0801a3c5, pc 0x08021b7e",
	}}
	for i := range b.Results {
		r := &b.Results[i]
		switch {
		case i < 7:
		case i == 7:
			r.Outcome, r.PassedAttempts, r.LogLine = reports.Errored, 0, 58
			r.Causes = []reports.Cause{{Class: reports.Infra, Code: "hard_fault", Detail: "the module crashed while the case ran"}}
		case r.Outcome == reports.Passed:
			*r = reports.Result{Case: r.Case, Outcome: reports.Skipped, Causes: []reports.Cause{{
				Code: "never_ran", Detail: b.Causes[0].String()}}}
		}
	}
}

func result(run *reports.Run, board int, id string) *reports.Result {
	for i := range run.Boards[board].Results {
		if r := &run.Boards[board].Results[i]; r.Case.ID == id {
			return r
		}
	}
	panic("the sample has no case " + id)
}

// serialLog is a readable log of n lines of traffic.
func serialLog(n int) string {
	traffic := []string{
		"-> AT+S.SETTIME=1785633302", "<- OK", "-> AT+S.TLSDOMAIN=f_domain,tls.hil.test", "<- OK",
		"-> AT+S.SOCKON=127.0.0.1,40461,s,ind", "<- ID: 00", "<- OK", `# endpoint {"event":"client_hello","remote":"127.0.0.1:51822"}`,
		"-> AT+S.SOCKW=0,32", `-> \x8f\x02q\x1b[2J.. 32 bytes`, "<- OK", "<- +WIND:55:Pending Data:0:32", "-> AT+S.SOCKR=0,32", "<- OK", "-> AT+S.SOCKC=0", "<- OK",
	}
	var b strings.Builder
	at := sampleStart
	for i := range n {
		at = at.Add(time.Duration(3+i%11) * time.Millisecond)
		fmt.Fprintf(&b, "%s %s\n", at.Format("2006-01-02 15:04:05.000"), traffic[i%len(traffic)])
	}
	return b.String()
}

// save writes run with its serial logs into a new store below dir.
func save(t testing.TB, dir string, run *reports.Run) *reports.Folder {
	t.Helper()
	store, err := reports.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	folder, err := store.Create(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	for i := range run.Boards {
		draft, name, err := folder.CreateLog(run.Boards[i].Board)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(draft, serialLog(340)); err != nil {
			t.Fatal(err)
		}
		if err := draft.Commit(); err != nil {
			t.Fatal(err)
		}
		run.Boards[i].SerialLog = name
	}
	if err := folder.Save(run, nil); err != nil {
		t.Fatal(err)
	}
	return folder
}

// shortRun is the mixed run on two boards with the cases that differ.
func shortRun() *reports.Run {
	run := mixedRun()
	run.Boards = []reports.BoardRun{run.Boards[1], run.Boards[3]}
	for i := range run.Boards {
		b := &run.Boards[i]
		var kept []reports.Result
		for _, r := range b.Results {
			switch r.Case.ID {
			case "smoke/boot", "tls/anonymous/C01", "tls/anonymous/C02", "tls/anonymous/A02",
				"tls/one_way/N03", "tls/one_way/Z02", "tls/mutual/C04":
				kept = append(kept, r)
			}
		}
		b.Results = kept
	}
	return run
}

// fill puts text into every string of a run, its closed lists excepted.
func fill(run *reports.Run, text string) {
	fillValue(reflect.ValueOf(run).Elem(), text)
	for i := range run.Boards {
		run.Boards[i].Board = fmt.Sprintf("%s%d", text, i)
	}
}

func fillValue(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			v.SetString(text)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fillValue(v.Elem(), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fillValue(v.Index(i), text)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(text), reflect.ValueOf(text))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fillValue(v.Field(i), text)
		}
	}
}
