// Package htmlpage writes reports as one HTML page that loads nothing.
package htmlpage

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"io"
	"io/fs"
)

// Sheet is a page's own style, and its hash for the page's Content-Security-Policy.
type Sheet struct {
	Style     template.CSS
	StyleHash string
}

// Write writes page.html of files, filled with what view makes of style.css. A page is
// written whole or not at all.
func Write(w io.Writer, files fs.FS, view func(Sheet) any) error {
	style, err := fs.ReadFile(files, "style.css")
	if err != nil {
		return err
	}
	page, err := template.ParseFS(files, "page.html")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(style)
	var b bytes.Buffer
	if err := page.Execute(&b, view(Sheet{template.CSS(style), base64.StdEncoding.EncodeToString(sum[:])})); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}
