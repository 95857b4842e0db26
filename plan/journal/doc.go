// Package journal has what a plan.Journal of one's own is made with: how a record
// is read, how large it may be, and which records may go once there are many.
// plan/filejournal and plan/etcdjournal are made with it, and plan/journaltest is
// the suite that a journal should pass.
package journal
