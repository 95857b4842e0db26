package plan

import (
	"context"
	"fmt"

	"github.com/quorate-dev/quorate"
)

// Describer is the ability of an Action to say, without any host, what it is
// made of. A preview compares what a host has with it, line by line, and knows one
// plan from another by it, as a journal does. A preview of a plan with an Action that
// does not have it, or whose Kind is empty, cannot be applied: see Runner.Apply.
type Describer interface {
	// Describe does no I/O and returns the same at every call. A plan calls it once,
	// when it is made, and keeps what it returns.
	Describe() Description
}

// Description is what an Action is made of. Sensitive contents are compared and
// never shown.
type Description struct {
	// Kind names what the Action does, the same in every program and version that
	// does the same: "example.com/motd". Saved previews and journals know an Action
	// by it. Those of this module start with "quorate/".
	Kind string
	// Files are those that the Action keeps as they are here: its Check names
	// in its Diff, by their paths, those that differ.
	Files []quorate.File
	// Unchecked are files that Apply writes without its Check looking at them,
	// such as a configuration that is read once. A preview of a step that would
	// change looks at them itself, in one round trip.
	Unchecked []quorate.File
	// Inputs are what else decides on what Apply does: a version, the hash of a
	// file that is streamed, a manifest.
	Inputs []quorate.Content
}

// Commander is the ability of an Action to say which commands it would run.
type Commander interface {
	// Commands returns those that Apply would run for what Check has found, in
	// their order; where Apply runs a script, those that matter in it. It may
	// read from the host, and changes nothing.
	Commands(ctx context.Context, h *Host, d Diff) ([]Command, error)
}

// Command is one that would run on a host.
type Command struct {
	// Argv is the program and its arguments; they hold no secrets.
	Argv []string `json:"argv"`
	// Stdin says in words what the command would read, empty if
	// nothing. It is never the content.
	Stdin string `json:"stdin,omitempty"`
}

// InputText is public texts as one content; no two lists of them are the same content.
func InputText(texts ...string) quorate.Content { return quorate.Public(fmt.Appendf(nil, "%q", texts)) }
