//go:build unix

package statedir_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
)

// What the first run makes, later runs find.
func ExampleLoad() {
	temp, err := os.MkdirTemp("", "state-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	dir := filepath.Join(temp, "prod.state")
	cluster := quorate.Cluster{
		Version: quorate.Version{Major: 1, Minor: 37},
		Nodes: []quorate.Node{
			{Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}},
		},
	}
	for range 2 {
		state, err := statedir.Load(context.Background(), dir, cluster, statedir.Config{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("issued:", len(state.Changes.Issued), "token:", state.Token, "journal:", filepath.Base(statedir.Journal(dir).Path))
	}
	// Output:
	// issued: 8 token: [sensitive] journal: journal.jsonl
	// issued: 0 token: [sensitive] journal: journal.jsonl
}
