// Package journal has what implementations of plan.Journal share: how a record
// is read, how large it may be, and which records may go once there are many.
// plan/filejournal and plan/etcdjournal are made with it, and plan/journaltest is
// the suite that a journal should pass.
package journal
