//go:build !race

package bubble

func begin() {}
func end()   {}
