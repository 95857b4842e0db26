package main

import "strings"

// migration is what "kubeadm config migrate" makes of a file.
type migration struct {
	Name     string   `json:"name"`
	Errors   []string `json:"errors"`
	Warnings []string `json:"warnings"`
	Data     string   `json:"data"`
}

// migrate has the release's own code read a file of an earlier API version, and
// write it in its own. That the file is of an API version that it reads is its
// own to say.
func migrate(f file) migration {
	m := migration{Name: f.Name, Errors: []string{}, Warnings: []string{}}
	docs, problems := split(f.Data)
	if len(problems) == 0 {
		problems = gaps(docs)
	}
	if len(problems) == 0 {
		var printed string
		printed, problems = captured(func() []string {
			return onFile(forLoader(f.Data, docs), func(path string) error {
				text, err := migrateFile(path, docs)
				m.Data = string(text)
				return err
			})
		})
		m.Warnings = append(m.Warnings, warnings(printed)...)
	}
	if len(problems) == 0 && strings.TrimSpace(m.Data) == "" {
		// Documents of kinds that it does not know it passes over in silence.
		problems = []string{"config migrate writes nothing"}
	}
	if len(problems) == 0 {
		// What it reads it may have read in part.
		for _, d := range docs {
			object, err := newMigrated(d.apiVersion, d.kind)
			if err != nil {
				problems = append(problems, reasons(err)...)
				continue
			}
			problems = append(problems, unknownIn(d, object)...)
		}
	}
	if len(problems) > 0 {
		m.Data = ""
	}
	secrets := secretsOf(docs)
	m.Errors = append(m.Errors, redacted(problems, secrets)...)
	m.Warnings = redacted(m.Warnings, secrets)
	return m
}
