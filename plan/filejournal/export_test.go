package filejournal

// Before has f called before each operation that changes something on the disk.
func (j *Journal) Before(f func(op string)) { j.before = f }
