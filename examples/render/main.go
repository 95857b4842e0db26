// Render writes every file that Quorate would put on a cluster's hosts into a
// directory, as DIR/NODE/ABSOLUTE/PATH with its mode: for review, for GitOps,
// for golden tests. It contacts no host.
//
//	go run ./examples/render -cluster examples/clusters/three.yaml -out out/render
//
// With -form it writes the walk-through for Kubernetes 1.10 that docs/guide.md
// reproduces, in one of two forms, from examples/clusters/guide.yaml.
//
// The exit code is 0, 2 for bad input (every problem is on standard error)
// and 1 for anything else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

const (
	exitFailed   = 1
	exitBadInput = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type options struct {
	cluster, out, state, form string
	force                     bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitBadInput
	}
	if err := render(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "render:", termsafe.Indented(err.Error()))
		return exitCode(err)
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("render", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.cluster, "cluster", "", "`file` that describes the cluster (docs/cluster.md)")
	f.StringVar(&o.out, "out", "", "`directory` to write to: empty, new, or written by render before")
	f.StringVar(&o.state, "state", "", "`directory` that keeps authorities, token and password between runs; without it they are new each time")
	f.StringVar(&o.form, "form", "", "`name` of another form than the recipe's files: "+formNames()+" (docs/guide.md)")
	f.BoolVar(&o.force, "force", false, "write into a directory that holds other files too")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.cluster == "" || o.out == "" || f.NArg() > 0 {
		fmt.Fprintln(stderr, "render: want -cluster FILE and -out DIR, and nothing after the flags")
		f.Usage()
		return o, errors.New("usage")
	}
	if _, known := forms[o.form]; !known {
		fmt.Fprintf(stderr, "render: -form %q is none of %s\n", o.form, formNames())
		return o, errors.New("usage")
	}
	return o, nil
}

func render(ctx context.Context, o options, stdout, stderr io.Writer) error {
	c, err := operator.ReadCluster(o.cluster)
	if err != nil {
		return err
	}
	for _, p := range c.Problems() { // only warnings are left
		fmt.Fprintf(stderr, "%s: %s\n", o.cluster, p)
	}
	cfg, err := operator.Config(ctx, c, o.state)
	if err != nil {
		return err
	}
	files, err := forms[o.form](ctx, cfg)
	if err != nil {
		return err
	}
	t, err := openTree(o.out, o.force)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.write(ctx, files); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		fmt.Fprintf(stdout, "%s: %d files\n", n.Name, len(files[n.Name]))
	}
	return nil
}

func exitCode(err error) int {
	var invalid *quorate.InvalidError
	var occupied *occupiedError
	if errors.As(err, &invalid) || errors.As(err, &occupied) || errors.Is(err, fs.ErrNotExist) {
		return exitBadInput
	}
	return exitFailed
}
