// Package secrettest finds out whether a value shows a secret in any form that
// output takes.
package secrettest

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.yaml.in/yaml/v3"
)

// verbs are all that fmt knows, with flags that change how bytes look, and one
// that it does not know.
var verbs = []string{
	"%v", "%+v", "%#v", "%s", "%+s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "%# x", "%d", "%o", "%O", "%b", "%c", "%U", "%#U", "%e", "%g", "%t", "%p", "%20v", "%.3s", "%T", "%z",
}

// AssertHides fails the test where any form of value shows a secret: every verb
// of fmt, JSON, XML, YAML and gob, slog, and the difference that testify
// prints, which calls no methods. Each form is tried of the value, of a pointer
// to it and of it behind unexported fields, in slices, maps and interfaces.
func AssertHides(t testing.TB, name string, value any, secrets ...string) {
	t.Helper()
	for _, form := range forms(value) {
		for _, secret := range secrets {
			if Shows(form.text, secret) {
				t.Errorf("%s shows the secret, %s: %.300s", name, form.name, form.text)
				break
			}
		}
	}
}

type form struct{ name, text string }

func forms(value any) (all []form) {
	type behind struct{ any }
	type field struct{ inner any }
	pointer := reflect.New(reflect.TypeOf(value))
	pointer.Elem().Set(reflect.ValueOf(value))
	typed := reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(value)), 0, 1)
	for where, v := range map[string]any{
		"itself": value, "pointer": pointer.Interface(), "unexported field": field{value}, "pointer in an unexported field": field{pointer.Interface()},
		"pointer to an unexported field": &field{value}, "embedded": behind{value}, "map": map[string]any{"a": value},
		"slice": reflect.Append(typed, reflect.ValueOf(value)).Interface(), "deep": []map[string]*field{{"a": {&field{pointer.Interface()}}}},
		"error": fmt.Errorf("writing %v, %+v, %#v", value, field{value}, &field{value}),
	} {
		add := func(how, text string) { all = append(all, form{where + ", " + how, text}) }
		for _, verb := range verbs {
			add(verb, fmt.Sprintf(verb, v))
		}
		for how, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "XML": xml.Marshal, "YAML": marshalYAML, "gob": marshalGob} {
			text, err := marshal(v)
			add(how, fmt.Sprint(string(text), err))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		add("slog", log.String())
		add("testify", difference(v))
	}
	return all
}

// marshalYAML turns the parser's panics, for functions and channels, to errors.
func marshalYAML(v any) (text []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return yaml.Marshal(v)
}

func marshalGob(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

type recorder struct{ strings.Builder }

func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

// difference is what assert.Equal prints of v and its zero value.
func difference(v any) string {
	var r recorder
	zero := reflect.New(reflect.TypeOf(v)).Elem()
	if zero.Kind() == reflect.Pointer {
		zero.Set(reflect.New(zero.Type().Elem()))
	}
	assert.Equal(&r, zero.Interface(), v)
	return r.String()
}

// Shows reports whether text holds a secret as it is or as any printer of bytes
// would write it. Of a longer one the first 16 bytes count as text and the first
// 8 as numbers, which is what a line of a hex dump has together.
func Shows(text, secret string) bool {
	head := []byte(secret)[:min(len(secret), 16)]
	raw := head[:min(len(head), 8)]
	decimal := strings.Trim(fmt.Sprint(raw), "[]")
	for _, form := range []string{
		string(head), base64.StdEncoding.EncodeToString(head[:len(head)/3*3]), decimal, strings.ReplaceAll(decimal, " ", ","),
		fmt.Sprintf("% x", raw), fmt.Sprintf("% X", raw), fmt.Sprintf("%# x", raw), strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}"),
		strings.Trim(fmt.Sprintf("%b", raw), "[]"), strings.Trim(fmt.Sprintf("%o", raw), "[]"), strings.Trim(fmt.Sprintf("%c", raw), "[]"),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return strings.Contains(strings.ToLower(text), hex.EncodeToString(raw))
}
