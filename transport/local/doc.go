// Package local runs commands on this machine, for programs that set up the
// host they run on and for tests.
//
// The Conn has the abilities transport.Filer and transport.Dialer of its own.
// It works on Unix-like systems.
package local
