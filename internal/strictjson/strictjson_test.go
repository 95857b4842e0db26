package strictjson_test

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/strictjson"
)

type inner struct {
	Lost  []string          `json:"lost,omitempty"`
	Hosts map[string]inner  `json:"hosts,omitempty"`
	Next  *inner            `json:"next,omitempty"`
	Any   any               `json:"any,omitempty"`
	At    time.Time         `json:"at,omitzero"`
	Raw   json.RawMessage   `json:"raw,omitempty"`
	Words map[string]string `json:"words,omitempty"`
}

type embedded struct {
	Deep   int    `json:"deep,omitempty"`
	Hidden string `json:"verdict,omitempty"`
}

type report struct {
	embedded
	Verdict string   `json:"verdict"`
	Results []inner  `json:"results,omitempty"`
	Array   [2]inner `json:"array,omitzero"`
	Plain   int
	Never   string `json:"-"`
	private string
}

func TestTaken(t *testing.T) {
	for _, text := range []string{
		`{}`,
		` {"verdict":"passed","results":[{"lost":["a"],"hosts":{"lost":{},"LOST":{},"":{}}}],"Plain":1,"deep":2} ` + "\n",
		`{"results":[{"next":{"next":{"lost":[]}},"any":{"x":[{"y":1}]},"at":"2026-01-02T03:04:05Z","raw":{"a":1}}]}`,
		`{"array":[{"lost":null}],"results":null}`,
	} {
		var got, want report
		require.NoError(t, strictjson.Decode([]byte(text), &got, strictjson.Options{}), text)
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		require.Equal(t, want, got)
	}
	_ = report{private: ""}.private
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                          "unexpected end of JSON input",
		`null`:                      "is null",
		`{"verdict":"a"} {}`:        "something follows the value",
		`{"verdict":"a"}]`:          "invalid character",
		`{"verdict":"a"`:            "unexpected end of JSON input",
		`{"verdict":"a",}`:          "invalid character",
		"{\"verdict\":\"\xff\"}":    "is not UTF-8",
		`[]`:                        "is of the wrong type: array, want strictjson_test.report",
		`{"verdict":1}`:             "verdict: is of the wrong type: number, want string",
		`{"verdict":"a","x":1}`:     "x: is no field",
		`{"Never":"a"}`:             "Never: is no field",
		`{"-":"a"}`:                 "-: is no field",
		`{"private":"a"}`:           "private: is no field",
		`{"verdict":1,"verdict":1}`: "verdict: is there twice",
		`{"Verdict":"a"}`:           "Verdict: is no field: did you mean verdict?",
		`{"plain":1}`:               "plain: is no field: did you mean Plain?",
		`{"results":[{},{"lost":["a"],"lo\u017ft":[]}]}`: `results[1]["lo\u017ft"]: is no field: did you mean lost?`,
		`{"results":[{"lost":["a"],"l\u006fst":[]}]}`:    "results[0].lost: is there twice",
		`{"results":[{"hosts":{"cp-1":{"LOST":[]}}}]}`:   `results[0].hosts["cp-1"].LOST: is no field: did you mean lost?`,
		`{"results":[{"hosts":{"a":{},"a":{}}}]}`:        `results[0].hosts["a"]: is there twice`,
		`{"results":[{"next":{"next":{"X":1}}}]}`:        "results[0].next.next.X: is no field",
		`{"results":[{"any":[{"a":1,"a":1}]}]}`:          "results[0].any[0].a: is there twice",
		`{"results":[{"raw":{"a":1,"a":1}}]}`:            "results[0].raw.a: is there twice",
		`{"array":[{"x":1}]}`:                            "array[0].x: is no field",
		`{"a\u001b[2J":1}`:                               `["a\x1b[2J"]: is no field`,
		`{"` + strings.Repeat("a", 1000) + `":1}`:        `["` + strings.Repeat("a", 64) + `..."]: is no field`,
		strings.Repeat("[", 1000):                        "is nested deeper than 32 levels",
		`{"results":[{"at":"yesterday"}]}`:               "parsing time",
	} {
		t.Run(text[:min(len(text), 40)], func(t *testing.T) {
			var got report
			err := strictjson.Decode([]byte(text), &got, strictjson.Options{})
			var typed *strictjson.Error
			require.ErrorAs(t, err, &typed)
			require.ErrorContains(t, err, want)
		})
	}
}

// Of what a later release may have written only the names that a reader could
// take for one of the type's are refused.
func TestUnknownFieldsAllowed(t *testing.T) {
	o := strictjson.Options{AllowUnknown: true}
	var got report
	require.NoError(t, strictjson.Decode([]byte(`{"verdict":"a","later":{"lost":1},"results":[{"x":{"LOST":1,"lost":2}}]}`), &got, o))
	require.Equal(t, "a", got.Verdict)
	for _, text := range []string{`{"VERDICT":"a"}`, `{"later":{"a":1,"a":2}}`, `{"later":1,"later":1}`, `{} x`} {
		require.Error(t, strictjson.Decode([]byte(text), &got, o), text)
	}
}

func TestBounds(t *testing.T) {
	var got any
	require.NoError(t, strictjson.Decode([]byte(`[[1]]`), &got, strictjson.Options{MaxSize: 5, MaxDepth: 2}))
	require.ErrorContains(t, strictjson.Decode([]byte(`[[1]]`), &got, strictjson.Options{MaxSize: 4}), "has 5 bytes, more than 4")
	require.ErrorContains(t, strictjson.Decode([]byte(`[[1]]`), &got, strictjson.Options{MaxDepth: 1}), "[0]: is nested deeper than 1 levels")
}

func TestErrorsUnwrap(t *testing.T) {
	var got report
	require.NotErrorIs(t, strictjson.Decode([]byte(`{`), &got, strictjson.Options{}), io.ErrUnexpectedEOF, "no reader ended early")
	var syntax *json.SyntaxError
	require.ErrorAs(t, strictjson.Decode([]byte(`{"verdict" 1}`), &got, strictjson.Options{}), &syntax)
}

// Whatever is taken means to encoding/json what it means to a reader that goes
// by exact names and takes the first of two: decoding it into a map and looking
// its names up shows the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"verdict":"passed","results":[{"lost":["a"]}]}`, `{"lo\u017ft":1}`, `{"results":[{"lost":["a"],"lo\u017ft":[]}]}`,
		`{"verdict":"a","Verdict":"b"}`, `{"verdict":"a","verdict":"b"}`, `{"a":{"b":[1,2,{"c":null}]}} `, `[[[[]]]]`, `null`, "{\"\xff\":1}", `{"\u212aey":1}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var strict report
		if err := strictjson.Decode([]byte(text), &strict, strictjson.Options{}); err != nil {
			var typed *strictjson.Error
			if !errors.As(err, &typed) || len(err.Error()) > 4096 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		var loose map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &loose); err != nil {
			t.Fatalf("%q was taken: %v", text, err)
		}
		var again report
		for name, into := range map[string]any{"verdict": &again.Verdict, "results": &again.Results, "array": &again.Array, "Plain": &again.Plain, "deep": &again.Deep} {
			if raw, ok := loose[name]; ok {
				if err := json.Unmarshal(raw, into); err != nil {
					t.Fatalf("%q: %s: %v", text, name, err)
				}
				delete(loose, name)
			}
		}
		if len(loose) > 0 || !reflect.DeepEqual(strict, again) {
			t.Fatalf("%q: %v is left, %+v is not %+v", text, loose, strict, again)
		}
	})
}
