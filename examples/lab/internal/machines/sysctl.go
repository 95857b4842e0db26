package machines

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sysctlLeast are limits of the machine that a cluster's processes run into
// together: one with four hosts uses about 105 inotify instances, the kernel's
// default is 128 for each user.
var sysctlLeast = map[string]int{
	"fs/inotify/max_user_instances": 8192,
	"fs/inotify/max_user_watches":   524288,
}

// lowSysctls returns the present values of those that are below what is needed.
func lowSysctls() (map[string]string, error) {
	low := map[string]string{}
	for name, least := range sysctlLeast {
		b, err := os.ReadFile(sysctlPath(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		value := strings.TrimSpace(string(b))
		if n, err := strconv.Atoi(value); err == nil && n < least {
			low[name] = value
		}
	}
	return low, nil
}

func raiseSysctls(low map[string]string) error {
	for name := range low {
		if err := writeSysctl(name, strconv.Itoa(sysctlLeast[name])); err != nil {
			return err
		}
	}
	return nil
}

func restoreSysctls(old map[string]string) error {
	var errs []error
	for name, value := range old {
		errs = append(errs, writeSysctl(name, value))
	}
	return errors.Join(errs...)
}

func writeSysctl(name, value string) error {
	return os.WriteFile(sysctlPath(name), []byte(value), 0o644)
}

func sysctlPath(name string) string { return filepath.Join("/proc/sys", name) }
