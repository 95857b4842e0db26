package machines

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quorate-dev/quorate/internal/strictjson"
)

// state is what a lab made on the machine, written before it is made so that
// any later process can remove it.
type state struct {
	Spec    Spec                  `json:"spec"`
	Layers  []string              `json:"layers"`
	Binds   map[string]string     `json:"binds,omitempty"`
	Sysctls map[string]string     `json:"sysctls,omitempty"`
	Hosts   map[string]*hostState `json:"hosts"`
}

type hostState struct {
	Host
	Cgroups cgroups `json:"cgroups"`
	// Nspawn is the container's supervisor, Init its first process; zero while
	// the host is off.
	Nspawn process `json:"nspawn"`
	Init   process `json:"init"`
}

// maxState bounds the file in bytes; a lab of a hundred hosts has 100 KB.
const maxState = 16 << 20

func statePath(dir string) string { return filepath.Join(dir, "state.json") }

func readState(dir string) (*state, error) {
	b, err := os.ReadFile(statePath(dir))
	if err != nil {
		return nil, err
	}
	var s state
	if err := strictjson.Decode(b, &s, strictjson.Options{MaxSize: maxState}); err != nil {
		return nil, fmt.Errorf("%s: %w", statePath(dir), err)
	}
	return &s, nil
}

// write replaces the state file atomically.
func (s *state) write(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := statePath(dir) + ".new"
	if err := writeFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, statePath(dir))
}
