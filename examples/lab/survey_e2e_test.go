package main

import (
	"testing"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/survey"
)

// checkSurvey surveys a cluster that is as described: nothing is wrong, no field differs, and every
// setting is the same in its stores.
func checkSurvey(t *testing.T, l *machines.Lab, p prepared) {
	t.Helper()
	hosts, config, err := recipe(t.Context(), l, p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hosts.Close() }() // every connection has been used up
	cluster, err := ha.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	found, err := cluster.Survey(t.Context(), survey.Config{Transport: hosts})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(found.Text())
	if !found.Sound() || len(found.Differences) > 0 {
		t.Errorf("a cluster that is as described is not sound: %v", found.Differences)
	}
	for _, s := range found.Settings {
		if len(s.Files) != 1 || len(s.Processes) > 1 {
			t.Errorf("%s is not the same everywhere: files %v, processes %v", s.Path, s.Files, s.Processes)
		}
	}
}
