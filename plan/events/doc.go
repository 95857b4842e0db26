// Package events writes what happens in a run of a plan as JSON Lines of a
// versioned form, and reads it back, so that programs in any language can follow
// a run. docs/events.md describes the form.
//
// A Writer's Observe belongs into plan.Runner.Observe; Decode reads what it
// wrote. Errors are written by Describe as what they say besides their text: the
// typed errors of plan and of transport are known here, and any other may be a
// Describer.
package events
