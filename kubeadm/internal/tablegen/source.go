package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// source finds the packages of one release.
type source struct {
	release
	ctx    context.Context
	dirs   map[string]string // of modules, "" for those not there
	loaded *loader
}

func newSource(ctx context.Context, r release) *source {
	return &source{release: r, ctx: ctx, dirs: map[string]string{}}
}

// kubernetes is the directory of the module k8s.io/kubernetes.
func (s *source) kubernetes() string {
	return s.module("k8s.io/kubernetes", fmt.Sprintf("v1.%d.%d", s.minor, s.patch))
}

// module returns the directory of the first of the versions that there is.
func (s *source) module(path string, versions ...string) string {
	dir, known := s.dirs[path]
	for i := 0; !known && dir == "" && i < len(versions); i++ {
		dir = module(s.ctx, path, versions[i])
	}
	s.dirs[path] = dir
	return dir
}

// ofInterest are the modules beside k8s.io/kubernetes that have configuration
// types or register flags; the others are large, and are not read.
var ofInterest = regexp.MustCompile(`\Ak8s\.io/(apimachinery|apiserver|component-base|cloud-provider|controller-manager|kubelet|kube-proxy)\z`)

const (
	// pflagVersion serves for every release: the signatures never changed.
	pflagVersion = "v1.0.5"
	// glogVersion is what every release until 1.12 had.
	glogVersion = "v0.0.0-20141105023935-44145f04b68c"
)

// dir returns the directory of a package, "" if it is not read.
func (s *source) dir(path string) string {
	elements := strings.SplitN(path, "/", 3)
	if len(elements) < 2 {
		return ""
	}
	root, rest := strings.Join(elements[:2], "/"), strings.Join(elements[2:], "/")
	var dir string
	switch staged := filepath.Join(s.kubernetes(), "staging/src", root); {
	case path == pflagPath:
		return s.module(path, pflagVersion)
	case path == "github.com/golang/glog":
		return s.module(path, glogVersion)
	case root == "k8s.io/kubernetes":
		dir = s.kubernetes()
	case root == "k8s.io/klog":
		version := s.klogVersion()
		if strings.HasPrefix(rest, "v2") {
			root, rest = "k8s.io/klog/v2", strings.TrimPrefix(rest[2:], "/")
			version = s.required("k8s.io/klog/v2")
		}
		dir = s.module(root, version)
	case exists(staged): // until 1.14, all in one module
		dir = staged
	case ofInterest.MatchString(root):
		dir = s.module(root, s.published()...)
	}
	if dir = filepath.Join(dir, rest); dir == rest || !exists(dir) {
		return ""
	}
	return dir
}

// published are the versions that a module published beside k8s.io/kubernetes
// may have, best first: not all of them can be had of every patch.
func (s *source) published() []string {
	var versions []string
	for _, patch := range []int{s.patch, s.patch - 1, 0} {
		versions = append(versions, fmt.Sprintf("v0.%d.%d", s.minor, max(patch, 0)))
	}
	return versions
}

func (s *source) klogVersion() string {
	if s.klog != "" {
		return s.klog
	}
	return s.required("k8s.io/klog")
}

// required is the version of a module in go.mod, "" if it is not there.
// Kubernetes has a go.mod from 1.15.
func (s *source) required(path string) string {
	text, err := os.ReadFile(filepath.Join(s.kubernetes(), "go.mod"))
	if err != nil {
		log.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\s` + regexp.QuoteMeta(path) + ` (v\S+)`).FindSubmatch(text)
	if found == nil {
		return ""
	}
	return string(found[1])
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
