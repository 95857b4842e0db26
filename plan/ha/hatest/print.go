package hatest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// String names the hosts. What is on them holds secrets, and is not printed.
func (c *Cluster) String() string {
	if c == nil {
		return "hatest.Cluster without hosts"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return "hatest.Cluster with the hosts " + strings.Join(slices.Sorted(maps.Keys(c.hosts)), ", ")
}

// Format prints String by every verb.
func (c *Cluster) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) } // as fmt itself does
