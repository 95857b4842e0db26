package events

// What the tests of docs/events.md look at.
type EventLine = eventLine

var (
	EncodeEvent = encodeEvent
	Omitted     = omitted
)
