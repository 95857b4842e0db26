package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// File is one file for kubeadm, of all its documents.
type File struct {
	Name string `json:"name"`
	Data string `json:"data"`
}

// Verdict is what a release makes of a file.
type Verdict struct {
	Name string `json:"name"`
	// Errors refuse the file. They repeat no token and no key.
	Errors []string `json:"errors"`
	// Warnings are what the release's code printed along the way.
	Warnings []string `json:"warnings"`
	// Objects are, by kind and as JSON, what kubeadm acts on after its
	// defaulting, in the API version of the file, so that names are the file's.
	// They hold tokens and keys in clear. None for a file that is refused.
	Objects map[string]json.RawMessage `json:"objects"`
}

// Accepted reports whether nothing refuses the file.
func (v Verdict) Accepted() bool { return len(v.Errors) == 0 }

// Migration is what a release's "kubeadm config migrate" makes of a file.
type Migration struct {
	Name string `json:"name"`
	// Errors refuse the file. They repeat no token and no key.
	Errors []string `json:"errors"`
	// Warnings are what the release's code printed along the way.
	Warnings []string `json:"warnings"`
	// Data is the file as it writes it, with tokens and keys in clear. Empty for a
	// file that is refused.
	Data string `json:"data"`
}

// Run has a binary that [Build] made judge files, and returns one verdict for each
// in their order. The program gets no environment: it shall know nothing of this
// host. What it leaves among its temporary files, as old releases do their logs,
// goes with it.
func Run(ctx context.Context, binary string, files []File) ([]Verdict, error) {
	var verdicts []Verdict
	err := run(ctx, binary, files, &verdicts)
	if err == nil && len(verdicts) != len(files) {
		err = &RunError{Binary: binary, Err: fmt.Errorf("%d verdicts on %d files", len(verdicts), len(files))}
	}
	return verdicts, err
}

// Migrate has a binary migrate files, as Run has it judge them. It takes files of
// every API version; whether the release does is in the answer.
func Migrate(ctx context.Context, binary string, files []File) ([]Migration, error) {
	var migrations []Migration
	err := run(ctx, binary, files, &migrations, "migrate")
	if err == nil && len(migrations) != len(files) {
		err = &RunError{Binary: binary, Err: fmt.Errorf("%d migrations of %d files", len(migrations), len(files))}
	}
	return migrations, err
}

func run(ctx context.Context, binary string, files []File, out any, args ...string) (err error) {
	input, err := json.Marshal(files)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "oracle-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = []string{"TMPDIR=" + tmp}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return &RunError{Binary: binary, Err: err, Stderr: strings.TrimSpace(stderr.String())}
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		return &RunError{Binary: binary, Err: err}
	}
	return nil
}
