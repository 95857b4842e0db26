package etcd

import (
	"fmt"
	"io"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/quorate-dev/quorate"
)

// JoinPath is the path of JoinFile while a member joins a running cluster. It is
// removed when the member has joined: until then systemd runs its command in place of
// the unit's own.
const JoinPath = UnitPath + ".d/50-quorate-join.conf"

// PeerURL is where the other members reach the member; "" if it has no address.
func (m Member) PeerURL() string {
	if len(m.Addresses) == 0 {
		return ""
	}
	return addressURL(m.scheme(), m.Addresses[0], m.withDefaults().Etcd.PeerPort)
}

// JoinFile returns the drop-in that starts the member as one that has been added
// to a running cluster: with State Existing and the Peers that the cluster has
// now, which need not be those of its unit. etcd heeds neither once it has data,
// so the member goes on with the unit's own command at its next start. It is
// 0644 and without secrets; the error is the *quorate.InvalidError of Validate.
func (m Member) JoinFile() (quorate.File, error) {
	m.State = Existing
	argv, err := m.Argv()
	if err != nil {
		return quorate.File{}, err
	}
	text, err := io.ReadAll(unit.Serialize([]*unit.UnitOption{
		unit.NewUnitOption("Service", "ExecStart", ""), // a drop-in adds to the list unless it empties it
		unit.NewUnitOption("Service", "ExecStart", commandLine(argv)),
	}))
	if err != nil {
		return quorate.File{}, fmt.Errorf("etcd member %s: write its drop-in: %w", m.Name, err)
	}
	return quorate.File{Path: JoinPath, Mode: 0o644, Content: quorate.Public(text)}, nil
}
