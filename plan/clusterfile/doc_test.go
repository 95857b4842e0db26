package clusterfile_test

import (
	"encoding"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/clusterfile"
)

const page = "../../docs/cluster.md"

// keys returns every key of the schema with the default that WithDefaults fills in.
func keys(prefix string, v reflect.Value, into map[string]string) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		at, field := prefix+name, v.Field(i)
		into[at] = ""
		text := isText(field.Type())
		switch {
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct && !isText(field.Type().Elem()):
			if at != "kubeadm.controllerManagerVolumes" && at != "kubeadm.schedulerVolumes" { // like the API server's
				keys(at+"[].", reflect.Zero(field.Type().Elem()), into)
			}
		case field.Kind() == reflect.Struct && !text:
			keys(at+".", field, into)
		case field.Kind() == reflect.Slice && field.Len() == 1:
			into[at] = fmt.Sprintf("`%v`", field.Index(0))
		case field.Kind() == reflect.Bool:
			into[at] = "`false`"
		case !field.IsZero() && field.Kind() != reflect.Slice:
			into[at] = fmt.Sprintf("`%v`", field)
		}
	}
}

func isText(t reflect.Type) bool {
	_, text := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	return text
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]*?) ?\\| [A-Z0-9a-z`].* \\|$")

// TestPageCoversTheSchema proves that the documentation has exactly the
// keys that are read, with the defaults that are filled in.
func TestPageCoversTheSchema(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	keys("", reflect.ValueOf(quorate.Cluster{}.WithDefaults()), want)
	documented := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		at, def := m[1], m[2]
		documented[at] = true
		if value, known := want[at]; !known {
			t.Errorf("%s is documented but not read", at)
		} else if value != "" && value != def {
			t.Errorf("%s: the default is %s, the page says %s", at, value, def)
		}
	}
	for at := range want {
		if !documented[at] {
			t.Errorf("%s is read but not documented", at)
		}
	}
}

// TestPageExamplesLoad also proves that the last one, which shows
// everything, leaves nothing out but what excludes the rest.
func TestPageExamplesLoad(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	for i, b := range blocks {
		blocks[i], _, _ = strings.Cut(b, "```")
		if _, err := clusterfile.Load([]byte(blocks[i])); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
	all := map[string]string{}
	keys("", reflect.ValueOf(quorate.Cluster{}), all)
	last := blocks[len(blocks)-1]
	for at := range all {
		name := at[strings.LastIndexByte(at, '.')+1:]
		if !strings.Contains(last, name+":") && !slices.Contains([]string{"endpoint.external", "etcd.stacked", "etcd.plainHTTP"}, at) {
			t.Errorf("the full example lacks %s", at)
		}
	}
}
