package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v4"

	"hil-runner/farm"
	"hil-runner/farm/virtlab"
)

// faultFile is the form of --faults.
type faultFile struct {
	Faults []virtlab.Fault `yaml:"faults"`
}

// maxFaultFile bounds a file that holds some lines per board.
const maxFaultFile = 1 << 20

// loadFaults reads a fault file strictly: what is misspelt must not become a
// lab without faults. All problems come back at once.
func loadFaults(path string, boards []string) ([]virtlab.Fault, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, &farm.UsageError{Text: fmt.Sprintf("fault file: %v", err)}
	}
	if info.Size() > maxFaultFile {
		return nil, &farm.UsageError{Text: fmt.Sprintf("fault file %s is larger than %d bytes", path, maxFaultFile)}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &farm.UsageError{Text: fmt.Sprintf("fault file: %v", err)}
	}
	var file faultFile
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields())
	if err == nil {
		err = loader.Load(&file)
	}
	if err != nil {
		return nil, &farm.ConfigError{File: path, Problems: yamlProblems(err)}
	}
	problems := faultProblems(file.Faults, boards)
	if len(problems) > 0 {
		return nil, &farm.ConfigError{File: path, Problems: problems}
	}
	return file.Faults, nil
}

// faultProblems looks at what the decoder cannot know.
func faultProblems(faults []virtlab.Fault, boards []string) []farm.Problem {
	if len(faults) == 0 {
		return []farm.Problem{{Text: "no faults in it", Hint: "begin with the key faults: and a list"}}
	}
	var problems []farm.Problem
	var kinds []string
	for _, k := range virtlab.FaultKinds() {
		kinds = append(kinds, string(k))
	}
	for i, f := range faults {
		at := fmt.Sprintf("faults[%d]", i)
		if !f.Applies("") && !slices.Contains(boards, f.Board) {
			problems = append(problems, farm.Problem{Path: at + ".board", Text: unknownName("board", f.Board, boards).Error()})
		}
		if !slices.Contains(kinds, string(f.Kind)) {
			problems = append(problems, farm.Problem{Path: at + ".kind", Text: unknownName("fault", string(f.Kind), kinds).Error()})
			f.Kind = virtlab.FaultHang // what else is wrong with it
		}
		if err := f.Validate(); err != nil {
			problems = append(problems, farm.Problem{Path: at, Text: err.Error()})
		}
	}
	return problems
}

// yamlProblems takes the decoder's errors apart.
func yamlProblems(err error) []farm.Problem {
	var many *yaml.LoadErrors
	if !errors.As(err, &many) {
		return []farm.Problem{{Text: err.Error()}}
	}
	var problems []farm.Problem
	for _, e := range many.Errors {
		problems = append(problems, farm.Problem{Line: e.Mark.Line, Column: e.Mark.Column, Text: e.Message})
	}
	return problems
}
