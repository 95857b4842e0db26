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
//
// # Faults
//
// What goes wrong with real hosts, and what does it here. Fault.On and Nth pick
// the calls that are hit.
//
//	connection refused         Fault{On: OnKind(Dial), Before: Refuse}
//	connection reset           Fault{Before: Reset}, nothing was done
//	reset in mid-command       Fault{After: ResetAfter}, it ran and its result is lost
//	hang until ctx ends        Fault{Before: Hang}
//	500 ms of latency          Fault{Before: Slow(500 * time.Millisecond)}
//	packets lost               Fault{Before: Lossy(0.05, 1)}: a share of the calls resets
//	several files, one written Fault{On: OnKind(Write), Files: 1, Before: Reset}
//	disk full                  Fault{On: OnKind(Write), Before: DiskFull}, or Host.Limit
//	exit status                Fault{On: OnRun(...), Before: Fails(Exit(3))}
//	killed operator            Fault{After: Dies(stop)}, where stop cancels the operator's ctx
//	power cut, and reboot      Host.SetDown(true), SetDown(false)
//	clock off by an hour       Host.SetClock(time.Hour)
//
// Host.Heal ends what Inject began.
package faketransport
