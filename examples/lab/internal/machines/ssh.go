package machines

import "context"

// SSH runs a shell command on a host as root, with OpenSSH's client, and returns
// its standard output. An error holds the end of its standard error.
func (l *Lab) SSH(ctx context.Context, host, command string) (string, error) {
	h, err := l.host(host)
	if err != nil {
		return "", err
	}
	args := append(l.SSHArgs(), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "root@"+h.Address.String(), command)
	return run(ctx, "ssh", args...)
}

// SSHArgs are the arguments of ssh that reach the hosts: nobody's own
// configuration, the lab's key and its known hosts.
func (l *Lab) SSHArgs() []string {
	return []string{"-F", "none", "-i", l.KeyFile(), "-o", "UserKnownHostsFile=" + l.KnownHostsFile()}
}
