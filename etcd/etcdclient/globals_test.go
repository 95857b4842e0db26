package etcdclient_test

import (
	"flag"
	"net/http"
	"net/url"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Importing the package registers no flag, and on http.DefaultServeMux what gRPC's
// tracing puts there, which it does not with the tag grpcnotrace. (That nothing is
// in expvar, deps_test.go shows: it is not linked.)
func TestImportRegistersNothing(t *testing.T) {
	flag.VisitAll(func(f *flag.Flag) {
		require.True(t, strings.HasPrefix(f.Name, "test.") || strings.HasPrefix(f.Name, "rapid."), "-%s", f.Name)
	})
	if tagged("grpcnotrace") {
		require.True(t, reflect.DeepEqual(http.NewServeMux(), http.DefaultServeMux), "something is on http.DefaultServeMux")
		return
	}
	for _, path := range []string{"/debug/requests", "/debug/events"} {
		_, pattern := http.DefaultServeMux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
		require.Equal(t, path, pattern, "gRPC no longer registers this: doc.go says that it does")
	}
}

// tagged reports whether the test was built with a tag.
func tagged(tag string) bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			for one := range strings.SplitSeq(s.Value, ",") {
				if one == tag {
					return true
				}
			}
		}
	}
	return false
}
