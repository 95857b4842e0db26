// Package strictjson decodes JSON that is evidence or an instruction: where two
// readers must not see two things in one text. encoding/json takes the last of a
// repeated field and folds the case of names ("LOST", and "lo\u017ft" with the
// long s, are taken as "lost"); other readers take the first, or only the exact
// name. Here a name is exact and there once, or the text is refused.
package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Options bound what Decode takes. The zero Options are the strictest.
type Options struct {
	// MaxSize is the longest text in bytes. Default DefaultMaxSize.
	MaxSize int
	// MaxDepth is how many objects and lists may be within each other. Default
	// DefaultMaxDepth.
	MaxDepth int
	// AllowUnknown passes over fields that the type does not have, as a reader of
	// records that a later release may have written must. A name that differs from
	// a field's only in case is refused all the same.
	AllowUnknown bool
}

const (
	// DefaultMaxSize is enough for a preview of a thousand hosts.
	DefaultMaxSize = 64 << 20
	// DefaultMaxDepth is more than twice what any form of this module has.
	DefaultMaxDepth = 32
)

// Error is what is wrong with a text.
type Error struct {
	// Path of the value, as in results[0].lost; empty for the whole text.
	Path string
	// Problem says what is wrong with it, in one line without control characters.
	Problem string
	// Err is what encoding/json says, nil where this package found the problem.
	Err error
}

func (e *Error) Error() string {
	s := e.Problem
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	return termsafe.Line(s)
}

// Unwrap returns what encoding/json says: a *json.SyntaxError or a
// *json.UnmarshalTypeError.
func (e *Error) Unwrap() error { return e.Err }

// Decode reads one JSON value, and nothing but white space after it, into what v
// points to. It refuses, with an *Error: a text above MaxSize, nested deeper than
// MaxDepth, or not UTF-8; null; a name that is twice in its object; and, in an
// object that is decoded into a struct, a name that is not exactly a field's.
// What is under a type with UnmarshalJSON of its own, or an interface, is checked
// for repeated names. On an error v may be written in part.
func Decode(text []byte, v any, o Options) error {
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxDepth == 0 {
		o.MaxDepth = DefaultMaxDepth
	}
	if len(text) > o.MaxSize {
		return &Error{Problem: fmt.Sprintf("has %d bytes, more than %d", len(text), o.MaxSize)}
	}
	if !utf8.Valid(text) {
		return &Error{Problem: "is not UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	c := &checker{dec: dec, options: o, fields: map[reflect.Type]map[string]reflect.Type{}}
	if err := c.whole(reflect.TypeOf(v)); err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return decodeError(err)
	}
	return nil
}

// decodeError takes the path out of encoding/json's error.
func decodeError(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return &Error{Path: kind.Field, Problem: fmt.Sprintf("is of the wrong type: %s, want %s", kind.Value, kind.Type), Err: err}
	}
	problem := strings.TrimPrefix(err.Error(), "json: ")
	return &Error{Problem: termsafe.Cut(termsafe.Line(problem), maxProblem, "..."), Err: err}
}

// maxProblem bounds what the error of a type that decodes itself may repeat of
// the text.
const maxProblem = 300

type checker struct {
	dec     *json.Decoder
	options Options
	// fields of the struct types that were met, by their JSON names.
	fields map[reflect.Type]map[string]reflect.Type
	// path of the value that is read, and how deep it is.
	path  []string
	depth int
}

func (c *checker) refuse(format string, args ...any) error {
	return &Error{Path: strings.TrimPrefix(strings.Join(c.path, ""), "."), Problem: fmt.Sprintf(format, args...)}
}

func (c *checker) whole(t reflect.Type) error {
	token, err := c.token()
	if err != nil {
		return err
	}
	if token == nil {
		return c.refuse("is null")
	}
	if err := c.value(token, t); err != nil {
		return err
	}
	switch _, err := c.dec.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return decodeError(err)
	}
	return &Error{Problem: "something follows the value"}
}

func (c *checker) token() (json.Token, error) {
	token, err := c.dec.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &Error{Problem: "unexpected end of JSON input"}
	}
	if err != nil {
		return nil, decodeError(err)
	}
	return token, nil
}

// value reads what a token opened. t is the type that it is decoded into, nil
// where only repeated names matter.
func (c *checker) value(token json.Token, t reflect.Type) error {
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if c.depth++; c.depth > c.options.MaxDepth {
		return c.refuse("is nested deeper than %d levels", c.options.MaxDepth)
	}
	defer func() { c.depth-- }()
	t = inside(t)
	if open == '[' {
		return c.list(t)
	}
	return c.object(t)
}

// inside is the type that a value is decoded into, behind pointers; nil if that
// decodes itself.
func inside(t reflect.Type) reflect.Type {
	for t != nil {
		if decodesItself(t) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func decodesItself(t reflect.Type) bool {
	for _, one := range []reflect.Type{t, reflect.PointerTo(t)} {
		if one.Implements(jsonUnmarshaler) || one.Implements(textUnmarshaler) {
			return true
		}
	}
	return t.Kind() == reflect.Interface
}

func (c *checker) list(t reflect.Type) error {
	var elem reflect.Type
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		elem = t.Elem()
	}
	for i := 0; ; i++ {
		token, err := c.token()
		if err != nil || token == json.Delim(']') {
			return err
		}
		c.path = append(c.path, "["+strconv.Itoa(i)+"]")
		if err := c.value(token, elem); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
}

func (c *checker) object(t reflect.Type) error {
	seen := map[string]bool{}
	for {
		token, err := c.token()
		if err != nil || token == json.Delim('}') {
			return err
		}
		name, _ := token.(string) // the decoder has refused another
		c.path = append(c.path, shownName(name, t))
		if seen[name] {
			return c.refuse("is there twice")
		}
		seen[name] = true
		elem, err := c.member(name, t)
		if err != nil {
			return err
		}
		if token, err = c.token(); err != nil {
			return err
		}
		if err := c.value(token, elem); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
}

// member is the type of an object's member, nil if it does not matter.
func (c *checker) member(name string, t reflect.Type) (reflect.Type, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.Kind() == reflect.Map:
		return t.Elem(), nil
	case t.Kind() != reflect.Struct:
		return nil, nil // json.Unmarshal refuses it
	}
	known := c.fieldsOf(t)
	if field, ok := known[name]; ok {
		return field, nil
	}
	for _, field := range sortedNames(known) {
		if strings.EqualFold(field, name) {
			return nil, c.refuse("is no field: did you mean %s?", field)
		}
	}
	if !c.options.AllowUnknown {
		return nil, c.refuse("is no field")
	}
	return nil, nil
}

func sortedNames(m map[string]reflect.Type) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// fieldsOf are the fields that encoding/json decodes, those of embedded structs
// included; an outer field hides an inner one of its name.
func (c *checker) fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := c.fields[t]; ok {
		return known
	}
	out := map[string]reflect.Type{}
	c.fields[t] = out // an embedded pointer to the type itself ends here
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case !f.IsExported():
		case name != "":
			out[name] = f.Type
		default:
			out[f.Name] = f.Type
		}
	}
	for _, e := range embedded {
		for name, inner := range c.fieldsOf(e) {
			if _, hidden := out[name]; !hidden {
				out[name] = inner
			}
		}
	}
	return out
}

// maxName is how much of a name that is in the text an error repeats.
const maxName = 64

// shownName is a name's part of a path: as it is if it is a plain one of a
// struct, else quoted and cut.
func shownName(name string, t reflect.Type) string {
	if (t == nil || t.Kind() != reflect.Map) && len(name) <= maxName && plain(name) {
		return "." + name
	}
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "") + "..."
	}
	return "[" + strconv.QuoteToASCII(name) + "]"
}

func plain(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return name != ""
}
