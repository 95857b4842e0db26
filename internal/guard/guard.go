// Package guard calls what others have handed in. It is the one place of the module that
// recovers from their panics.
package guard

import (
	"fmt"
	"runtime/debug"
)

// Fault is why a function did not return.
type Fault struct {
	// Value is what it panicked with, as text, or that it ended its goroutine.
	Value string
	// Stack is the goroutine's, as runtime/debug.Stack has it.
	Stack string
}

// Call calls f on a goroutine of its own and waits for it, so that neither a panic nor
// runtime.Goexit, as testing's FailNow calls it, ends the caller. It returns nil if f
// returned.
func Call(f func()) (fault *Fault) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if value := recover(); value != nil {
				fault = &Fault{Value: fmt.Sprint(value), Stack: string(debug.Stack())}
			} else if !returned {
				fault = &Fault{Value: "its goroutine was ended", Stack: string(debug.Stack())}
			}
		}()
		f()
		returned = true
	}()
	<-done
	return fault
}
