package upstream

import (
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// logLines is a klog sink that keeps every distinct line.
type logLines struct{ lines []string }

// captureLog diverts klog until stop is called.
func captureLog() (log *logLines, stop func()) {
	log = &logLines{}
	state := klog.CaptureState()
	klog.SetLogger(logr.New(log))
	return log, state.Restore
}

func (l *logLines) add(line string) {
	if line = strings.TrimSpace(line); !slices.Contains(l.lines, line) {
		l.lines = append(l.lines, line)
	}
}

func (l *logLines) Init(logr.RuntimeInfo)                   {}
func (l *logLines) Enabled(level int) bool                  { return level == 0 }
func (l *logLines) Info(_ int, message string, _ ...any)    { l.add(message) }
func (l *logLines) Error(_ error, message string, _ ...any) { l.add(message) }
func (l *logLines) WithValues(...any) logr.LogSink          { return l }
func (l *logLines) WithName(string) logr.LogSink            { return l }
