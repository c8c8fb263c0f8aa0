package farm_test

import (
	"strings"
	"testing"

	"hil-runner/farm"
)

func TestSelect(t *testing.T) {
	boards := []farm.Board{
		{ID: "vm01", Model: "SPWF01SA", Tags: map[string]string{"wifi": "old", "site": "north"}},
		{ID: "vm02", Model: "SPWF01SC", Tags: map[string]string{"wifi": "new"}, Virtual: true},
		{ID: "vm03", Model: "SPWF01SA", Tags: map[string]string{"wifi": "new", "site": "north"}, Slot: "r1"},
	}
	type tags = map[string]string
	tests := []struct {
		name  string
		ids   []string
		tags  tags
		count int
		want  string
		err   string
	}{
		{name: "all", want: "vm01 vm02 vm03"},
		{name: "by id, in order, once", ids: []string{"vm03", "vm01", "vm03"}, want: "vm03 vm01"},
		{name: "by tag", tags: tags{"wifi": "new"}, want: "vm02 vm03"},
		{name: "by two tags", tags: tags{"wifi": "new", "site": "north"}, want: "vm03"},
		{name: "by model", tags: tags{"model": "SPWF01SA"}, want: "vm01 vm03"},
		{name: "by slot", tags: tags{"slot": "r1"}, want: "vm03"},
		{name: "virtual", tags: tags{"virtual": "true"}, want: "vm02"},
		{name: "id and tag", ids: []string{"vm01", "vm02"}, tags: tags{"wifi": "new"}, want: "vm02"},
		{name: "count", count: 2, want: "vm01 vm02"},
		{name: "no such id", ids: []string{"vm1"}, err: `no board "vm1"; did you mean vm01`},
		{name: "nothing like it", ids: []string{"bench-7"}, err: `no board "bench-7"; the lab has vm01, vm02, vm03`},
		{name: "no such tag", tags: tags{"wfi": "new"}, err: `no board has a tag "wfi"; did you mean wifi?`},
		{name: "no such value", tags: tags{"wifi": "nwe"}, err: `no board has wifi=nwe; did you mean new?`},
		{name: "not together", tags: tags{"wifi": "old", "slot": "r1"}, err: "no board carries all of these tags together"},
		{name: "too many", count: 4, err: "4 boards were asked for, 3 are there"},
		{name: "negative", count: -1, err: "-1 boards were asked for"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			picked, err := farm.Select(boards, test.ids, test.tags, test.count)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || farm.ExitCode(err) != farm.ExitUsage {
					t.Fatalf("got %v, want %q and exit status 2", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, b := range picked {
				ids = append(ids, b.ID)
			}
			if got := strings.Join(ids, " "); got != test.want {
				t.Errorf("picked %s, want %s", got, test.want)
			}
		})
	}
	if _, err := farm.Select(nil, nil, nil, 0); farm.ExitCode(err) != farm.ExitUsage {
		t.Errorf("an empty lab gave %v", err)
	}
}

func TestParseTags(t *testing.T) {
	tags, err := farm.ParseTags([]string{"a=b", "c=", "d=e=f", "a=b"})
	if err != nil || tags["a"] != "b" || tags["d"] != "e=f" || len(tags) != 3 {
		t.Errorf("got %v, %v", tags, err)
	}
	for _, bad := range [][]string{{"a"}, {"=b"}, {"a=b", "a=c"}} {
		if _, err := farm.ParseTags(bad); farm.ExitCode(err) != farm.ExitUsage {
			t.Errorf("%v gave %v", bad, err)
		}
	}
}
