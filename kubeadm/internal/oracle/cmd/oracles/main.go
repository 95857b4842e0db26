// Command oracles builds the programs that judge kubeadm files by one release of
// Kubernetes each, and has them judge the samples. It runs in the root of the
// repository.
//
//	oracles [-ci] [-cache DIR] [VERSION...]
//	oracles -where
//	oracles -pin VERSION...
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/quorate-dev/quorate/kubeadm/internal/oracle"
)

const home = "kubeadm/internal/oracle"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracles:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("oracles", flag.ContinueOnError)
	cache := flags.String("cache", "", "where binaries are kept (default $QUORATE_ORACLES, or the user's cache directory)")
	ci := flags.Bool("ci", false, "only the releases that CI builds")
	pin := flags.Bool("pin", false, "settle the versions of a release's modules again, and build nothing")
	where := flags.Bool("where", false, "print the cache directory, and build nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	releases, err := chosen(flags.Args(), *ci)
	if err != nil {
		return err
	}
	if *cache == "" {
		if *cache, err = cacheDir(); err != nil {
			return err
		}
	}
	switch {
	case *where:
		fmt.Println(*cache)
		return nil
	case *pin && flags.NArg() == 0:
		return errors.New("-pin wants versions")
	case *pin:
		for _, r := range releases {
			if err := oracle.Pin(ctx, filepath.Join(home, "_modules"), r); err != nil {
				return fmt.Errorf("pin %s: %w", r, err)
			}
		}
		return nil
	}
	return buildAll(ctx, *cache, releases)
}

func chosen(versions []string, ci bool) ([]oracle.Release, error) {
	var releases []oracle.Release
	for _, version := range versions {
		r, err := oracle.Find(version)
		if err != nil {
			return nil, err
		}
		releases = append(releases, r)
	}
	if len(versions) > 0 {
		return releases, nil
	}
	for _, r := range oracle.Releases {
		if r.CI || !ci {
			releases = append(releases, r)
		}
	}
	return releases, nil
}

// cacheDir is the user's cache directory, or the system's where root has no
// home. QUORATE_ORACLES, which the tests read too, overrides it.
func cacheDir() (string, error) {
	if dir := os.Getenv("QUORATE_ORACLES"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil && os.Geteuid() == 0 {
		return "/var/cache/quorate-oracles", nil
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "quorate-oracles"), nil
}

// buildAll builds one after the other: compiling keeps every processor busy by
// itself. It goes on after a failure, so that one log has all of them.
func buildAll(ctx context.Context, cache string, releases []oracle.Release) error {
	fmt.Printf("%s, %d processors\n", runtime.Version(), runtime.GOMAXPROCS(0))
	fmt.Printf("%-8s  %-8s  %8s  %8s  %8s  %8s\n", "release", "API", "build", "accepted", "refused", "judging")
	var failed error
	began := time.Now()
	for _, r := range releases {
		if err := one(ctx, cache, r); err != nil {
			fmt.Printf("%-8s  %-8s  FAILED\n", r.Version, r.API)
			failed = errors.Join(failed, err)
		}
	}
	fmt.Printf("%d releases in %.0f s\n", len(releases), time.Since(began).Seconds())
	return failed
}

func one(ctx context.Context, cache string, r oracle.Release) error {
	samples, err := oracle.Samples(os.DirFS(filepath.Join(home, "testdata")), r)
	if err != nil {
		return err
	}
	start := time.Now()
	binary, err := oracle.Build(ctx, cache, r)
	if err != nil {
		return err
	}
	build := time.Since(start)
	files := make([]oracle.File, len(samples))
	for i, s := range samples {
		files[i] = s.File
	}
	start = time.Now()
	verdicts, err := oracle.Run(ctx, binary, files)
	if err != nil {
		return err
	}
	judging := time.Since(start)
	accepted, refused := 0, 0
	var wrong error
	for i, v := range verdicts {
		if v.Accepted() {
			accepted++
		} else {
			refused++
		}
		if w := samples[i].Wrong(v); w != "" {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %s", r, w))
		}
	}
	fmt.Printf("%-8s  %-8s  %6.1f s  %8d  %8d  %6.2f s\n", r.Version, r.API, build.Seconds(), accepted, refused, judging.Seconds())
	return wrong
}
