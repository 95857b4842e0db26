package upstream

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util"
)

// Problem is one reason to refuse a file.
type Problem struct {
	// Kind of the document, empty where the release's code does not say.
	Kind string
	// Path of the field as the release's code names it, empty where it is only
	// part of the message.
	Path string
	// Message in the words of the release's code.
	Message string
}

// String returns "Kind.path: message".
func (p Problem) String() string {
	where := strings.Trim(p.Kind+"."+p.Path, ".")
	if where == "" {
		return p.Message
	}
	return where + ": " + p.Message
}

// Error refuses a file, with every reason that was found.
type Error struct{ Problems []Problem }

// Error lists one problem a line, after a line that counts them.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kubeadm %s refuses this configuration: %d problem(s)", Release, len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// refuse adds an error, or each of an aggregate; nil adds nothing.
func (c *checker) refuse(kind, path string, err error) {
	for _, e := range each(err) {
		c.problems = append(c.problems, Problem{Kind: kind, Path: path, Message: e.Error()})
	}
}

// refuseFields adds what a validation found in the document that kindOf names
// for a path.
func (c *checker) refuseFields(kindOf func(path string) string, errs field.ErrorList) {
	for _, e := range errs {
		kind := kindOf(e.Field)
		path := strings.TrimPrefix(e.Field, kind+".") // kube-proxy's paths start with it
		c.problems = append(c.problems, Problem{Kind: kind, Path: path, Message: e.ErrorBody()})
	}
}

// only is the kindOf of a validation that covers one document.
func only(kind string) func(string) string {
	return func(string) string { return kind }
}

// initOrCluster distinguishes the two documents that are validated as one.
func initOrCluster(path string) string {
	switch root, _, _ := strings.Cut(path, "."); root {
	case "nodeRegistration", "bootstrapTokens", "localAPIEndpoint", "certificateKey":
		return "InitConfiguration"
	}
	return "ClusterConfiguration"
}

// secretKeys are the fields whose values upstream's messages quote, and this
// package's must not.
var secretKeys = map[string]bool{"token": true, "tlsBootstrapToken": true, "certificateKey": true}

// redact takes the values of the file's secret fields out of the messages.
func redact(problems []Problem, data []byte) []Problem {
	var secrets []string
	if docs, err := kubeadmutil.SplitConfigDocuments(data); err == nil {
		for _, doc := range docs {
			var content any
			if yaml.Unmarshal(doc, &content) == nil {
				secrets = secretsIn(content, secrets)
			}
		}
	}
	for i := range problems {
		for _, secret := range secrets {
			problems[i].Message = without(problems[i].Message, secret)
		}
	}
	return problems
}

func secretsIn(content any, found []string) []string {
	switch v := content.(type) {
	case map[string]any:
		for key, value := range v {
			if s, ok := value.(string); ok && secretKeys[key] && s != "" {
				found = append(found, s)
				continue
			}
			found = secretsIn(value, found)
		}
	case []any:
		for _, value := range v {
			found = secretsIn(value, found)
		}
	}
	return found
}

// shortest is the length from which a secret is redacted wherever it is;
// a shorter one only where it is quoted, lest half the message goes with it.
const shortest = 6

func without(message, secret string) string {
	message = strings.ReplaceAll(message, strconv.Quote(secret), "(hidden)")
	if len(secret) >= shortest {
		message = strings.ReplaceAll(message, secret, "(hidden)")
	}
	return message
}
