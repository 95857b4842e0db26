package survey

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/quorate-dev/quorate"
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
	style, err := pageFiles.ReadFile("style.css")
	if err != nil {
		return fmt.Errorf("survey: %w", err)
	}
	page, err := template.ParseFS(pageFiles, "page.html")
	if err != nil {
		return fmt.Errorf("survey: %w", err)
	}
	type finding struct{ Class, Severity, Text string }
	sum := sha256.Sum256(style)
	view := struct {
		Style                   template.CSS
		StyleHash, Headline, At string
		Next                    []Next
		Findings                []finding
		Parts                   []part
	}{template.CSS(style), base64.StdEncoding.EncodeToString(sum[:]), s.Headline(), s.At.Format(time.RFC3339), s.Next, nil, s.parts()}
	for _, f := range s.Findings {
		view.Findings = append(view.Findings, finding{string(f.Severity), string(f.Severity), whoAndWhat(f)})
	}
	var b bytes.Buffer // so that a page is whole or not there
	if err := page.Execute(&b, view); err != nil {
		return fmt.Errorf("survey: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("survey: %w", err)
	}
	return nil
}
