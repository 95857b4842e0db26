// Package otelplan makes OpenTelemetry traces of a plan's runs: a span for the
// run, below it one for each step, and below that one for each attempt, with the
// times of the run's own clock.
//
// It is a module of its own, so that importers of Quorate who trace nothing do
// not load OpenTelemetry, and needs only its API: which SDK and exporter there
// are is for the program to say.
//
// # Names
//
// A run's span is called "quorate run", a step's by its title, an attempt's
// "attempt". Attributes are those of OpenTelemetry's semantic conventions where
// there are any, host.name, error.type, exception.type and exception.message, and
// else start with "quorate.":
//
//	quorate.run.id                  run: its random ID, the same in its journal
//	quorate.run.steps, .dry_run     run: the plan's steps, and whether nothing is changed
//	quorate.run.outcome.OUTCOME     run: how many steps ended so
//	quorate.run.round_trips         run: commands and file operations on all hosts
//	quorate.step.id                 step, attempt: the step's ID
//	quorate.step.outcome            step: "changed", "unchanged", "failed", ...
//	quorate.step.attempts           step: how many it took
//	quorate.step.changes            step: what differed, as texts, a hundred at most
//	quorate.attempt                 attempt: counts from 1
//	quorate.error.phase, .tried, .output, .exit_code, .advice
//	                                what failed: see plan.EventError
//
// error.type is the plan.ErrorKind of the innermost cause. Events of an attempt are "applying",
// with quorate.changes, and "progress", with quorate.message; a failure is an
// "exception". Events of a run are "unfinished", what an earlier run left so, and
// "journal-failed". No attribute holds a secret: they are made of plan.Event, which
// holds none.
package otelplan
