// Command kubeadm-check judges kubeadm configuration files with kubeadm's own
// code; see package upstream for what the verdict covers.
//
//	kubeadm-check FILE...    "-" is the standard input
//
// It prints every problem of every file on the standard error and exits 1 if
// there is one, 2 if it was called wrongly. Warnings and assumptions are printed
// too, and fail nothing.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/quorate-dev/quorate/kubeadm/upstream"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(files []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(files) == 0 {
		fmt.Fprintln(stderr, "usage: kubeadm-check FILE...")
		return 2
	}
	code := 0
	for _, file := range files {
		if !check(file, stdin, stdout, stderr) {
			code = 1
		}
	}
	return code
}

func check(file string, stdin io.Reader, stdout, stderr io.Writer) bool {
	data, err := read(file, stdin)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", file, err)
		return false
	}
	result, err := upstream.Check(data)
	if err != nil {
		report(stderr, file, err)
		return false
	}
	for _, field := range result.Assumed {
		fmt.Fprintf(stderr, "%s: assumed: %s\n", file, field)
	}
	for _, warning := range result.Warnings {
		fmt.Fprintf(stderr, "%s: warning: %s\n", file, warning)
	}
	fmt.Fprintf(stdout, "%s: ok for %s\n", file, upstream.Release)
	return true
}

func report(stderr io.Writer, file string, err error) {
	var refused *upstream.Error
	if !errors.As(err, &refused) {
		fmt.Fprintf(stderr, "%s: %v\n", file, err)
		return
	}
	for _, problem := range refused.Problems {
		fmt.Fprintf(stderr, "%s: %s\n", file, problem)
	}
}

func read(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}
