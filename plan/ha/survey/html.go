package survey

import (
	"embed"
	"fmt"
	"io"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/htmlpage"
)

//go:embed page.html style.css
var pageFiles embed.FS

// HTML writes the survey as one page: what to do next, what was found, and every table of
// the text. The page needs nothing else, neither scripts nor anything from a network, and
// its Content-Security-Policy lets it load none. It follows the reader's light or dark
// scheme. The same survey is always the same bytes. The error is of w, or a
// *quorate.InvalidError of a nil Survey or w.
func (s *Survey) HTML(w io.Writer) error {
	var problems quorate.Problems
	if s == nil {
		problems.Refuse("survey", noSurvey)
	}
	if w == nil {
		problems.Refuse("writer", "missing: the one that the page is written to")
	}
	if err := problems.Err("survey"); err != nil {
		return err
	}
	type finding struct{ Class, Severity, Text string }
	view := struct {
		htmlpage.Sheet
		Headline, At string
		Next         []Next
		Findings     []finding
		Parts        []part
	}{Headline: s.Headline(), At: s.At.Format(time.RFC3339), Next: s.Next, Parts: s.parts()}
	for _, f := range s.Findings {
		view.Findings = append(view.Findings, finding{string(f.Severity), string(f.Severity), whoAndWhat(f)})
	}
	err := htmlpage.Write(w, pageFiles, func(sheet htmlpage.Sheet) any {
		view.Sheet = sheet
		return view
	})
	if err != nil {
		return fmt.Errorf("survey: %w", err)
	}
	return nil
}
