// Command oracle judges kubeadm files with the code of the one Kubernetes
// release that it is linked with, or, with the argument "migrate", has it do
// what its "kubeadm config migrate" does.
//
// Standard input is a JSON array of {"name", "data"}, standard output one of
// {"name", "errors", "warnings", "objects"}. Objects are what kubeadm acts on
// after its defaulting, by kind, in the API version of the file. In the place of
// objects a migration has "data", the file that kubeadm writes. Both hold
// tokens in clear; errors and warnings do not.
//
// Only the standard library and yaml.v3 are used here: these lines are compiled
// with every release from 1.10 on.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/ioutil"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

type file struct {
	Name string `json:"name"`
	Data string `json:"data"`
}

type verdict struct {
	Name     string                 `json:"name"`
	Errors   []string               `json:"errors"`
	Warnings []string               `json:"warnings"`
	Objects  map[string]interface{} `json:"objects"`
}

func main() {
	// The release's code looks for programs to learn of the host it runs on
	// (systemctl, for one). Here it shall find none.
	if err := os.Setenv("PATH", "/nonexistent"); err != nil {
		fail(err)
	}
	if flag.Lookup("logtostderr") != nil {
		if err := flag.Set("logtostderr", "true"); err != nil {
			fail(err)
		}
	}
	// glog complains in every line until flags are parsed.
	if err := flag.CommandLine.Parse(nil); err != nil {
		fail(err)
	}
	var files []file
	if err := json.NewDecoder(os.Stdin).Decode(&files); err != nil {
		fail(err)
	}
	results := []interface{}{}
	for _, f := range files {
		if len(os.Args) == 2 && os.Args[1] == "migrate" {
			results = append(results, migrate(f))
		} else {
			results = append(results, judge(f))
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "oracle:", err)
	os.Exit(1)
}

func judge(f file) verdict {
	v := verdict{Name: f.Name, Errors: []string{}, Warnings: []string{}, Objects: map[string]interface{}{}}
	docs, problems := split(f.Data)
	for _, d := range docs {
		problems = append(problems, d.unknownFields()...)
	}
	if len(problems) == 0 {
		problems = gaps(docs)
	}
	if len(problems) == 0 {
		var printed string
		printed, problems = captured(func() []string {
			objects, problems := loaded(f.Data, docs)
			for kind, object := range objects {
				written, err := asWritten(object)
				v.Objects[kind] = written
				problems = append(problems, reasons(err)...)
			}
			return problems
		})
		v.Warnings = append(v.Warnings, warnings(printed)...)
	}
	secrets := secretsOf(docs)
	v.Errors = append(v.Errors, redacted(problems, secrets)...)
	v.Warnings = redacted(v.Warnings, secrets)
	return v
}

// loaded runs the release's own loaders.
func loaded(data string, docs []document) (map[string]interface{}, []string) {
	objects := map[string]interface{}{}
	problems := onFile(forLoader(data, docs), func(path string) error { return load(path, docs, objects) })
	if len(problems) > 0 {
		return nil, problems
	}
	return objects, nil
}

// onFile calls the release's code, which wants a file.
func onFile(data string, f func(path string) error) (problems []string) {
	defer func() {
		if p := recover(); p != nil {
			problems = []string{fmt.Sprintf("the release's code panicked: %v", p)}
		}
	}()
	dir, err := ioutil.TempDir("", "oracle-")
	if err != nil {
		return reasons(err)
	}
	defer func() { problems = append(problems, reasons(os.RemoveAll(dir))...) }()
	path := filepath.Join(dir, "kubeadm.yaml")
	if err := ioutil.WriteFile(path, []byte(data), 0600); err != nil {
		return reasons(err)
	}
	// The directory's name would make each verdict another.
	return redacted(reasons(f(path)), []string{dir + "/"})
}

// reasons takes an aggregate apart.
func reasons(err error) []string {
	if err == nil {
		return nil
	}
	if aggregate, ok := err.(interface{ Errors() []error }); ok {
		var all []string
		for _, each := range aggregate.Errors() {
			all = append(all, reasons(each)...)
		}
		return all
	}
	return []string{err.Error()}
}

// captured returns what f, and every logger below it, printed.
func captured(f func() []string) (string, []string) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", reasons(err)
	}
	printed := make(chan string)
	go func() {
		all, _ := io.ReadAll(r)
		printed <- string(all)
	}()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = w, w
	problems := f()
	os.Stdout, os.Stderr = stdout, stderr
	problems = append(problems, reasons(w.Close())...)
	return <-printed, problems
}

var logHeader = regexp.MustCompile(`^([IWEF])\d{4} [^\]]*\] `)

// warnings are the lines printed that are not mere information. That no init
// system can be found is this program's own doing.
func warnings(printed string) []string {
	var all []string
	for _, line := range strings.Split(printed, "\n") {
		if header := logHeader.FindStringSubmatch(line); header != nil {
			if header[1] == "I" {
				continue
			}
			line = line[len(header[0]):]
		}
		line = strings.TrimSpace(line)
		if line == "" || strings.Contains(line, "systemd-resolved") {
			continue
		}
		all = append(all, line)
	}
	return all
}

// gaps names what a file leaves to the host or the network, which must be asked
// neither: the verdict would differ from one machine to the next.
func gaps(docs []document) []string {
	var all []string
	need := func(d document, path string) {
		if d.value(path) == "" {
			all = append(all, d.kind+"."+path+": must be set, kubeadm would look for it on the host")
		}
	}
	kinds := map[string]bool{}
	for _, d := range docs {
		kinds[d.kind] = true
		for _, path := range hostFields(d) {
			need(d, path)
		}
		switch d.kind {
		case "MasterConfiguration", "ClusterConfiguration":
			if !exactVersion.MatchString(d.value("kubernetesVersion")) {
				all = append(all, d.kind+".kubernetesVersion: must be exact, kubeadm would ask the network")
			}
		}
	}
	if kinds["InitConfiguration"] != kinds["ClusterConfiguration"] {
		all = append(all, "InitConfiguration and ClusterConfiguration: one without the other leaves a version or an address to the network")
	}
	sort.Strings(all)
	return all
}

var exactVersion = regexp.MustCompile(`^v?1\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$`)

// hostFields name the fields without which kubeadm would look on the host, in the
// API version of the document.
func hostFields(d document) []string {
	name, socket, address := "nodeRegistration.name", "nodeRegistration.criSocket", "localAPIEndpoint.advertiseAddress"
	switch d.apiVersion {
	case "kubeadm.k8s.io/v1alpha1":
		name = "nodeName"
	case "kubeadm.k8s.io/v1alpha3":
		address = "apiEndpoint.advertiseAddress"
	}
	switch d.kind {
	case "MasterConfiguration":
		return []string{"api.advertiseAddress", name}
	case "NodeConfiguration":
		return []string{name}
	case "InitConfiguration":
		return []string{name, socket, address}
	case "JoinConfiguration":
		fields := []string{name, socket}
		if node := d.at("controlPlane"); node != nil && node.Value != "false" && node.Tag != "!!null" {
			if d.apiVersion != "kubeadm.k8s.io/v1alpha3" {
				address = "controlPlane." + address
			}
			fields = append(fields, address)
		}
		return fields
	}
	return nil
}
