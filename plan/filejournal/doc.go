// Package filejournal keeps the journal of runs in a file on this machine: one
// line of JSON a record, appended and synchronised to the disk before the step
// that it announces is applied.
//
// Beside the file PATH is PATH.lock while a run has the journal. It says who
// has it and since when, and the kernel says whether that program still lives:
// the file is locked by flock(2), which ends with its process however that dies,
// so nothing is ever to be removed by hand. The lock keeps programs on one
// machine apart. For operators on several machines there is plan/etcdjournal; a
// network file system is no substitute.
//
// A record that a crash has cut off is one that was never reported as kept. Reading
// passes over it, and the next run removes it, exactly it, before it appends.
//
// The file does not grow for ever: it keeps the last Journal.KeepRuns runs whole,
// a thousand by default, and of all before them what they left unfinished. A run
// that starts, has the lock, and finds a quarter more than that writes what stays
// to PATH.trimmed, synchronises it, and puts it in the place of the journal by a
// rename: whenever the machine or the program dies, the one or the other is
// there, whole. A PATH.trimmed that is found when a run starts is left of such a
// death, and removed.
package filejournal
