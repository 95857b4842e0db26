package quorate

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that text formats write as "1.5s".
type Duration time.Duration

// Std returns the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the form of time.Duration: "1.5s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the form of String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %q: want a number and a unit, as in 1.5s", text)
	}
	*d = Duration(v)
	return nil
}
