//go:build unix

package opensshtest_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/opensshtest"
	"github.com/quorate-dev/quorate/transport/ssh"
)

// pam is sshd as Debian configures it, with passwords and questions.
var pam = []string{"UsePAM yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes"}

func admin(t *testing.T, argv ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%q: %s", argv, out)
}

func byPassword(password string) func(*ssh.Config) {
	return func(c *ssh.Config) {
		c.Auth = ssh.Auth{Password: func(context.Context, ssh.Login) (transport.Data, error) {
			return transport.Bytes([]byte(password)), nil
		}}
	}
}

// byAnswers answers each hidden question with the next of these.
func byAnswers(asked *[]string, answers ...string) func(*ssh.Config) {
	return func(c *ssh.Config) {
		c.Auth = ssh.Auth{Answer: func(_ context.Context, q ssh.Questions) ([]transport.Data, error) {
			var out []transport.Data
			for _, one := range q.Questions {
				*asked = append(*asked, one.Text)
				if len(answers) == 0 {
					return nil, errors.New("no answer to " + one.Text)
				}
				out, answers = append(out, transport.Bytes([]byte(answers[0]))), answers[1:]
			}
			return out, nil
		}}
	}
}

func connects(t *testing.T, s *opensshtest.Server, user string, change func(*ssh.Config)) error {
	t.Helper()
	conn, err := s.Transport(t, user, change).Dial(t.Context(), "openssh")
	if err != nil {
		return err
	}
	defer func() { require.NoError(t, conn.Close()) }()
	out, err := transport.Output(t.Context(), conn, "id", "-un")
	if err == nil {
		require.Equal(t, user+"\n", string(out))
	}
	return err
}

func notLetIn(t *testing.T, err error) *ssh.AuthError {
	t.Helper()
	var dial *transport.DialError
	var auth *ssh.AuthError
	require.ErrorAs(t, err, &dial)
	require.Equal(t, transport.Auth, dial.Reason, "%v", err)
	require.ErrorAs(t, err, &auth)
	require.NotContains(t, err.Error(), opensshtest.Password)
	return auth
}

// What PAM makes of passwords, questions, and several factors.
func TestRealPAMLogins(t *testing.T) {
	opensshtest.Need(t)
	server := opensshtest.Start(t, pam...)
	t.Run("password", func(t *testing.T) {
		user, _ := opensshtest.User(t, "/bin/sh")
		require.NoError(t, connects(t, server, user, byPassword(opensshtest.Password)))
		require.Error(t, notLetIn(t, connects(t, server, user, byPassword("WRONG"))))
	})
	t.Run("questions", func(t *testing.T) {
		user, _ := opensshtest.User(t, "/bin/sh")
		var asked []string
		require.NoError(t, connects(t, server, user, byAnswers(&asked, opensshtest.Password)))
		require.Len(t, asked, 1)
		require.Contains(t, asked[0], "assword")
		require.Error(t, notLetIn(t, connects(t, server, user, byAnswers(&asked, "WRONG", "WRONG", "WRONG"))))
	})
	t.Run("a key, then a password", func(t *testing.T) {
		user, _ := opensshtest.User(t, "/bin/sh")
		for _, second := range []string{"password", "keyboard-interactive"} {
			both := opensshtest.Start(t, append([]string{"AuthenticationMethods publickey," + second}, pam...)...)
			require.NoError(t, connects(t, both, user, func(c *ssh.Config) {
				key := c.Auth.KeyFiles
				byPassword(opensshtest.Password)(c)
				c.Auth.KeyFiles = key
			}), second)
			e := notLetIn(t, connects(t, both, user, nil))
			require.Equal(t, []string{"publickey"}, e.Accepted)
			require.Equal(t, []string{second}, e.Allowed)
		}
	})
}

// A password that must be changed, and an account that is over, are named by an
// error of the right kind, with what to do; nothing of a command is believed to have run.
func TestRealExpired(t *testing.T) {
	opensshtest.Need(t, "chage", "usermod")
	tier.Root(t)
	expired := func(t *testing.T, err error) {
		t.Helper()
		require.ErrorIs(t, notLetIn(t, err), ssh.ErrPasswordExpired)
	}
	account := func(t *testing.T, err error) {
		t.Helper()
		require.NotErrorIs(t, notLetIn(t, err), ssh.ErrPasswordExpired)
		require.Contains(t, err.Error(), "account")
	}
	unstarted := func(t *testing.T, err error) { // sshd lets the user in, and runs nothing
		t.Helper()
		var e *transport.NotStartedError
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Said, "Password change required")
		require.Contains(t, e.Advice(), "chage")
	}
	for name, c := range map[string]struct {
		config []string
		expire []string
		login  func(*ssh.Config)
		want   func(*testing.T, error)
	}{
		"password, by key, PAM":       {pam, []string{"chage", "-d", "0"}, nil, unstarted},
		"password, by password, PAM":  {pam, []string{"chage", "-d", "0"}, byPassword(opensshtest.Password), expired},
		"password, by password":       {[]string{"PasswordAuthentication yes"}, []string{"chage", "-d", "0"}, byPassword(opensshtest.Password), unstarted},
		"password, by questions, PAM": {append([]string{"AuthenticationMethods keyboard-interactive"}, pam...), []string{"chage", "-d", "0"}, byPassword(opensshtest.Password), expired},
		"account, by key, PAM":        {pam, []string{"chage", "-E", "1"}, nil, account},
		"account, by key":             {nil, []string{"chage", "-E", "1"}, nil, account},
		"account, by password, PAM":   {pam, []string{"chage", "-E", "1"}, byPassword(opensshtest.Password), account},
		"locked, by password, PAM": {pam, []string{"usermod", "-L"}, byPassword(opensshtest.Password), func(t *testing.T, err error) {
			require.NotErrorIs(t, notLetIn(t, err), ssh.ErrPasswordExpired)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			user, _ := opensshtest.User(t, "/bin/sh")
			server := opensshtest.Start(t, c.config...)
			admin(t, append(c.expire, user)...)
			err := connects(t, server, user, c.login)
			t.Logf("%v", err)
			c.want(t, err)
			require.NotContains(t, err.Error(), opensshtest.Password)
		})
	}
}
