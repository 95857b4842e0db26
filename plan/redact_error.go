package plan

import (
	"errors"
	"reflect"

	"github.com/quorate-dev/quorate/transport"
)

// redactedError is an error whose text held a secret, and whose type has no field that could
// be replaced.
type redactedError struct {
	text   string
	causes []error
	// is finds what errors.Is found in the error that this one replaces. It is a function,
	// because fmt prints nothing of what that holds.
	is func(error) bool
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Unwrap() []error      { return e.causes }
func (e *redactedError) Is(target error) bool { return e.is(target) }

// redactError returns what an Action or a transport has returned without the secrets: err
// itself if it holds none, a copy of the same type if all that holds one is in its exported
// fields, and otherwise an error with its text and causes, in which errors.Is finds what it
// found in err.
func (s *secretTexts) redactError(err error) error {
	if err == nil {
		return nil
	}
	_ = err.Error() // one that panics does so here, where that fails its step
	if s == nil {
		return err
	}
	_, out := s.errorWithout(err, 0)
	return out
}

// maxNesting bounds how deep errors are looked into: one may hold itself.
const maxNesting = 20

// errorWithout returns false, and err, if nothing that can be seen of it is secret.
func (s *secretTexts) errorWithout(err error, depth int) (bool, error) {
	out, changed := err, false
	// Of what hosts say, transports keep the end, or what came until a connection was lost.
	filtered := transport.FilterWords(err, func(text string) string {
		hidden := s.redactCut(text)
		changed = changed || hidden != text
		return hidden
	})
	if changed {
		out = filtered
	}
	if v, differs := s.valueWithout(reflect.ValueOf(out), depth); differs {
		out, changed = v.Interface().(error), true //nolint:forcetypeassert // it is of err's type
	}
	text := out.Error()
	hidden := s.redact(text)
	clean := hidden == text
	var causes []error
	if depth < maxNesting {
		for _, c := range unwrapped(out) {
			differs, without := s.errorWithout(c, depth+1)
			clean = clean && !differs
			causes = append(causes, without)
		}
	}
	if clean {
		return changed, out
	}
	return true, &redactedError{text: hidden, causes: causes, is: func(target error) bool { return errors.Is(err, target) }}
}

func unwrapped(err error) []error {
	switch e := err.(type) { //nolint:errorlint // one level
	case interface{ Unwrap() error }:
		if c := e.Unwrap(); c != nil {
			return []error{c}
		}
	case interface{ Unwrap() []error }:
		var all []error
		for _, c := range e.Unwrap() {
			if c != nil {
				all = append(all, c)
			}
		}
		return all
	}
	return nil
}

// valueWithout returns a copy of v, and true, if something in it that is exported is secret.
func (s *secretTexts) valueWithout(v reflect.Value, depth int) (reflect.Value, bool) {
	if depth > maxNesting {
		return v, false
	}
	switch v.Kind() {
	case reflect.String:
		return replaced(v, s.redact(v.String()))
	case reflect.Pointer:
		if v.IsNil() {
			return v, false
		}
		elem, differs := s.valueWithout(v.Elem(), depth+1)
		if !differs {
			return v, false
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(elem)
		return out.Convert(v.Type()), true
	case reflect.Interface:
		if v.IsNil() {
			return v, false
		}
		if err, ok := v.Interface().(error); ok {
			differs, without := s.errorWithout(err, depth+1)
			if w := reflect.ValueOf(without); differs && w.Type().AssignableTo(v.Type()) {
				return w, true
			}
			return v, false // what cannot be replaced shows in the text of the whole
		}
		return s.valueWithout(v.Elem(), depth+1)
	case reflect.Struct:
		return s.copied(v, v.NumField(), func(i int) (reflect.Value, bool) {
			if !v.Type().Field(i).IsExported() {
				return v, false
			}
			return s.valueWithout(v.Field(i), depth+1)
		}, reflect.Value.Field)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			text := string(v.Bytes())
			hidden := s.redact(text)
			return reflect.ValueOf([]byte(hidden)).Convert(v.Type()), hidden != text
		}
		return s.copied(v, v.Len(), func(i int) (reflect.Value, bool) { return s.valueWithout(v.Index(i), depth+1) }, reflect.Value.Index)
	case reflect.Map:
		out, changed := reflect.MakeMap(v.Type()), false
		for _, key := range v.MapKeys() {
			elem, differs := s.valueWithout(v.MapIndex(key), depth+1)
			out.SetMapIndex(key, elem)
			changed = changed || differs
		}
		return out, changed
	}
	return v, false
}

// replaced is a string of v's type.
func replaced(v reflect.Value, text string) (reflect.Value, bool) {
	if v.String() == text {
		return v, false
	}
	return reflect.ValueOf(text).Convert(v.Type()), true
}

// copied copies v, whose n parts at finds, if one of them is to be another.
func (s *secretTexts) copied(v reflect.Value, n int, part func(int) (reflect.Value, bool), at func(reflect.Value, int) reflect.Value) (reflect.Value, bool) {
	out, changed := v, false
	for i := range n {
		p, differs := part(i)
		if !differs {
			continue
		}
		if !changed {
			changed = true
			out = reflect.New(v.Type()).Elem()
			out.Set(v)
			if v.Kind() == reflect.Slice {
				out.Set(reflect.MakeSlice(v.Type(), n, n))
				reflect.Copy(out, v)
			}
		}
		at(out, i).Set(p)
	}
	return out, changed
}

// redactDiff returns what a check has found without the secrets.
func (s *secretTexts) redactDiff(d Diff) Diff {
	if s == nil {
		return d
	}
	out := d
	for i, c := range d {
		secret := false
		for _, text := range []*string{&c.Verb, &c.Subject, &c.Detail, &c.Text, &c.Hidden} {
			hidden := s.redact(*text)
			secret = secret || hidden != *text
			*text = hidden
		}
		if secret {
			if &out[0] == &d[0] {
				out = append(Diff(nil), d...)
			}
			out[i] = c
		}
	}
	return out
}

// withoutData is what is shown of a Diff: the Data of its changes is for their Action alone.
func (d Diff) withoutData() Diff {
	if d == nil {
		return nil
	}
	out := append(Diff{}, d...)
	for i := range out {
		out[i].Data = nil
	}
	return out
}
