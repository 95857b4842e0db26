// Package faketransport is hosts in memory, for tests of programs that use a
// transport and for demonstrations without hosts.
//
// A Host has a file system, commands that the test scripts with Handle, faults
// that it injects with Inject, and a record of every call. A command that is
// neither scripted nor one of the small tools built in fails with status 127
// and a message that lists what is scripted: nothing succeeds by accident.
//
// "sh -c SCRIPT" and "sh -s" really run: a shell interpreter executes them
// against the file system in memory, with the common coreutils built in and
// everything else taken from the scripted commands. Nothing of the machine the
// test runs on is read, written or executed.
package faketransport
