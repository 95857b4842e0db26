// Package cachedir says where the lab keeps what is worth keeping across runs.
package cachedir

import (
	"os"
	"path/filepath"
)

// Default is the user's cache directory, or the system's where root has no
// home. LAB_CACHE in the environment, which the tests read too, overrides it.
func Default() (string, error) {
	if dir := os.Getenv("LAB_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil && os.Geteuid() == 0 {
		return "/var/cache/quorate-lab", nil
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "quorate-lab"), nil
}
