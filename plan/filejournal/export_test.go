package filejournal

// Before has f called before each operation of a trim.
func (j *Journal) Before(f func(op string)) { j.before = f }
