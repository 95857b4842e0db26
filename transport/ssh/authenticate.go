package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/transport"
)

// AuthError reports that a host did not let the user in. It is in a
// *transport.DialError with the reason Auth, and dialling again without another
// key does not help: the host may count failures.
type AuthError struct {
	User string
	// Attempts in their order.
	Attempts []Attempt
	// Allowed are the methods that the host would have taken at the end.
	Allowed []string
	// Accepted are those it accepted, and wanted more.
	Accepted []string
	// LeftOut says what of Auth could not be offered, and why: an agent that does not answer, a
	// key of it that is not allowed.
	LeftOut []error
	// Banner is what the host says to who logs in, cut to 1 KiB.
	Banner string
	// Err is how the host ended the connection, nil if it did not.
	Err error
}

// Attempt is one credential that the host was offered.
type Attempt struct {
	// Method is "publickey", "keyboard-interactive" or "password".
	Method string
	// Key is a key's type and fingerprint, and From the field of Auth it comes from.
	Key, From string
	// Accepted reports that it was right, although more was wanted.
	Accepted bool
	// Err is why it could not be used, nil if the host refused it.
	Err error
}

// ErrPasswordExpired reports that a host wants a new password before it lets the user in.
var ErrPasswordExpired = errors.New("the password has expired and must be changed")

// errEnded reports that a host hung up where sshd does so for an account that may not log in.
var errEnded = errors.New("the host ended the connection instead of answering to it")

func (a Attempt) String() string {
	s := a.Method
	if a.Key != "" {
		s += " " + a.Key + " (" + a.From + ")"
	}
	if a.Err != nil {
		s += ": " + a.Err.Error()
	}
	return termsafe.Indented(s)
}

// mostShown bounds the attempts that a text names.
const mostShown = 12

func (e *AuthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is not let in", e.User)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if len(e.Accepted) > 0 {
		fmt.Fprintf(&b, "; the host accepted %s and wants more", strings.Join(e.Accepted, ", "))
	}
	for i, a := range e.Attempts {
		if a.Accepted {
			continue
		}
		if i == mostShown {
			fmt.Fprintf(&b, "; and %d more", len(e.Attempts)-mostShown)
			break
		}
		fmt.Fprintf(&b, "; refused %v", a)
	}
	if len(e.Attempts) == 0 {
		b.WriteString("; nothing was offered")
	}
	if len(e.Allowed) > 0 {
		fmt.Fprintf(&b, "; it takes %s", strings.Join(e.Allowed, ", "))
	}
	for _, err := range e.LeftOut {
		fmt.Fprintf(&b, "; left out: %v", err)
	}
	if e.Banner != "" {
		fmt.Fprintf(&b, "; it says %q", e.Banner)
	}
	return termsafe.Indented(b.String())
}

// EventFields returns what plan/events shows of it beside its text.
func (e *AuthError) EventFields() map[string]string {
	tried := "log in as " + e.User
	for i, a := range e.Attempts {
		if i == mostShown {
			tried += fmt.Sprintf("; %d more", len(e.Attempts)-i)
			break
		}
		tried += "; " + a.String()
	}
	reason := ""
	if errors.Is(e, ErrPasswordExpired) {
		reason = "password expired"
	}
	return map[string]string{
		"kind": "auth", "tried": tried, "output": e.Banner, "reason": reason, "want": strings.Join(e.Allowed, ", "), "do": e.advice(),
	}
}

// Unwrap returns the causes.
func (e *AuthError) Unwrap() []error {
	all := slices.Clone(e.LeftOut)
	for _, a := range e.Attempts {
		if a.Err != nil {
			all = append(all, a.Err)
		}
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// advice says what to do about it.
func (e *AuthError) advice() string {
	wants := func(m string) bool { return slices.Contains(e.Allowed, m) }
	tried := func(m string) bool {
		return slices.ContainsFunc(e.Attempts, func(a Attempt) bool { return a.Method == m })
	}
	switch {
	case errors.Is(e, errEnded):
		return fmt.Sprintf("the account of %s may be locked or expired, or PAM refuses it: sshd's log on the host says why", e.User)
	case errors.Is(e, ErrPasswordExpired):
		return "change the password on the host (passwd) and come again"
	case e.Err != nil && len(e.Attempts) > 1:
		return "sshd allows six failures (MaxAuthTries): name the right key in Auth.Identities and set Auth.IdentitiesOnly"
	case wants("keyboard-interactive") && !tried("keyboard-interactive") && !wants("publickey"):
		return "the host asks questions: set Auth.Answer or Auth.Password"
	case wants("password") && !tried("password") && !wants("publickey"):
		return "the host takes a password: set Auth.Password"
	}
	return fmt.Sprintf("is one of these keys in authorized_keys of %s on the host, or the password right, and may it log in there: is the account locked or expired? sshd's log on the host says why", e.User)
}

// authentication is one login under way.
type authentication struct {
	*credentials
	ctx    context.Context //nolint:containedctx // of one Dial, which the library's callbacks do not carry
	login  Login
	report *AuthError
	broken func() error // the connection's own error
	// proved reports that a signature, an answer or a password was sent.
	proved bool
	pause  func() (resume func())

	queue      []identity
	offered    map[string]bool
	agentAsked bool
	closeAgent func()
	exhausted  bool // nothing is left to offer
	answered   bool // questions have been answered
	sent       bool // the password has been sent
	password   *transport.Data
}

func (c *credentials) login(ctx context.Context, l Login, broken func() error, pause func() func()) *authentication {
	return &authentication{
		credentials: c, ctx: ctx, login: l, report: &AuthError{User: l.User}, broken: broken, pause: pause,
		queue: c.own, offered: map[string]bool{}, closeAgent: func() {},
	}
}

// next chooses what to offer after each answer of the host: one key at a
// time, so that one whose agent does not sign does not end the others'.
func (a *authentication) next(state *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if err := a.broken(); err != nil {
		return nil, err
	}
	if n := len(a.report.Attempts); n > 0 && len(state.PartialSuccessMethods) > len(a.report.Accepted) {
		a.report.Attempts[n-1].Accepted = true
	}
	a.report.Accepted = state.PartialSuccessMethods
	a.report.Allowed = nil
	for _, m := range state.AllowedMethods[:min(16, len(state.AllowedMethods))] {
		a.report.Allowed = append(a.report.Allowed, clip(m, 64))
	}
	allowed := func(m string) bool { return slices.Contains(state.AllowedMethods, m) }
	if allowed("publickey") {
		if id, ok := a.nextKey(); ok {
			return a.offer(id), nil
		}
	}
	if allowed("keyboard-interactive") && !a.answered && (a.auth.Answer != nil || a.auth.Password != nil) {
		a.answered = true
		return a.questions(), nil
	}
	if allowed("password") && !a.sent && a.auth.Password != nil {
		return a.sendPassword(), nil
	}
	a.exhausted = true
	return nil, nil // the library returns the last attempt's own error, if there was one
}

// attempt notes what is offered now.
func (a *authentication) attempt(try Attempt) {
	a.report.Attempts = append(a.report.Attempts, try)
}

// nextKey is the next key that was not offered yet; the agent is asked when
// our own are used up.
func (a *authentication) nextKey() (identity, bool) {
	for {
		if len(a.queue) == 0 && !a.agentAsked {
			a.agentAsked = true
			a.queue = a.agentKeys()
		}
		if len(a.queue) == 0 {
			return identity{}, false
		}
		id := a.queue[0]
		a.queue = a.queue[1:]
		wire := string(id.signer.PublicKey().Marshal())
		if !a.offered[wire] {
			a.offered[wire] = true
			return id, true
		}
	}
}

func (a *authentication) offer(id identity) ssh.AuthMethod {
	key := id.signer.PublicKey()
	n := len(a.report.Attempts)
	a.attempt(Attempt{Method: "publickey", Key: key.Type() + " " + ssh.FingerprintSHA256(key), From: id.name})
	return ssh.PublicKeys(&offered{Signer: id.signer, algorithms: a.algorithms.signing(key), signing: func() { a.proved = true }, failed: func(err error) {
		a.report.Attempts[n].Err = fmt.Errorf("it could not sign: %w", err)
	}})
}

// offered is a key that signs with the algorithms allowed, and reports when it cannot.
type offered struct {
	ssh.Signer
	algorithms []string
	failed     func(error)
	// signing is called before a signature goes out: the host knows the key.
	signing func()
}

// Algorithms makes it a MultiAlgorithmSigner.
func (o *offered) Algorithms() []string { return o.algorithms }

// SignWithAlgorithm signs.
func (o *offered) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	o.signing()
	var s *ssh.Signature
	var err error
	if as, ok := o.Signer.(ssh.AlgorithmSigner); ok {
		s, err = as.SignWithAlgorithm(rand, data, algorithm)
	} else {
		s, err = o.Signer.Sign(rand, data)
	}
	if err != nil {
		o.failed(err)
	}
	return s, err
}

// maxRounds is how often a host may ask questions in one login.
const maxRounds = 10

// questions is the method keyboard-interactive.
func (a *authentication) questions() ssh.AuthMethod {
	n := len(a.report.Attempts)
	a.attempt(Attempt{Method: "keyboard-interactive"})
	round := 0
	return ssh.KeyboardInteractive(func(name, instruction string, texts []string, echos []bool) ([]string, error) {
		q := Questions{Login: a.login, Name: clip(name, 1024), Instruction: clip(instruction, 1024)}
		for i, text := range texts {
			q.Questions = append(q.Questions, Question{Text: clip(text, 1024), Hidden: !echos[i]})
		}
		if len(q.Questions) == 0 {
			return nil, nil // only something to read
		}
		answers, err := a.answer(q, round)
		a.proved = true
		round++
		if err != nil {
			a.report.Attempts[n].Err = err
			return nil, err
		}
		return answers, nil
	})
}

func (a *authentication) answer(q Questions, round int) ([]string, error) {
	switch {
	case round == maxRounds:
		return nil, fmt.Errorf("the host asked questions over %d times", maxRounds)
	case a.auth.Answer != nil:
		defer a.pause()()
		secrets, err := a.auth.Answer(a.ctx, q)
		if err != nil {
			return nil, err
		}
		if len(secrets) != len(q.Questions) {
			return nil, fmt.Errorf("Auth.Answer has %d answers for %d questions", len(secrets), len(q.Questions))
		}
		answers := make([]string, len(secrets))
		for i, s := range secrets {
			answers[i] = string(s.Bytes())
		}
		return answers, nil
	case round > 0 || len(q.Questions) != 1 || !q.Questions[0].Hidden:
		if err := expired(q); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the host asks %q, and Auth.Answer is not set", q.Questions[0].Text)
	}
	if err := expired(q); err != nil {
		return nil, err
	}
	s, err := a.takePassword()
	if err != nil {
		return nil, err
	}
	a.sent = true // a wrong one is not sent twice
	return []string{string(s.Bytes())}, nil
}

// expired recognises PAM's request for a new password.
func expired(q Questions) error {
	text := strings.ToLower(q.Questions[0].Text + " " + q.Instruction)
	if strings.Contains(text, "new password") || strings.Contains(text, "new unix password") || strings.Contains(text, "current password") || strings.Contains(text, "(current)") {
		return ErrPasswordExpired
	}
	return nil
}

func (a *authentication) sendPassword() ssh.AuthMethod {
	a.sent = true
	n := len(a.report.Attempts)
	a.attempt(Attempt{Method: "password"})
	return ssh.PasswordCallback(func() (string, error) {
		s, err := a.takePassword()
		if err != nil {
			a.report.Attempts[n].Err = err
			return "", err
		}
		return string(s.Bytes()), nil
	})
}

func (a *authentication) takePassword() (transport.Data, error) {
	if a.password == nil {
		defer a.pause()()
		s, err := a.auth.Password(a.ctx, a.login)
		if err != nil {
			return transport.Data{}, fmt.Errorf("Auth.Password: %w", err)
		}
		a.password = &s
	}
	return *a.password, nil
}

// agentKeys asks the agent, those that are named first. One that fails is
// left out.
func (a *authentication) agentKeys() []identity {
	if a.auth.AgentSocket == "" {
		return nil
	}
	signers, err := a.openAgent()
	if err != nil {
		a.report.LeftOut = append(a.report.LeftOut, fmt.Errorf("agent %s: %w", a.auth.AgentSocket, err))
		return nil
	}
	var named, others []identity
	for _, s := range signers {
		key, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
		if err != nil {
			continue // of a kind that the library does not know
		}
		id := identity{"agent", parsedKey{s, key}}
		bare := key
		if cert, ok := key.(*ssh.Certificate); ok {
			bare = cert.Key
		}
		isNamed := slices.Contains(a.wanted, ssh.FingerprintSHA256(bare)) || slices.Contains(a.wanted, ssh.FingerprintSHA256(key))
		if !isNamed && a.auth.IdentitiesOnly {
			continue
		}
		if err := a.usable(key); err != nil {
			a.report.LeftOut = append(a.report.LeftOut, fmt.Errorf("agent's %s: %w", describe(key), err))
			continue
		}
		if isNamed {
			named = append(named, id)
		} else {
			others = append(others, id)
		}
	}
	named, _ = withCertificates(named, a.loose)
	others, _ = withCertificates(others, a.loose)
	return append(named, others...)
}

// openAgent connects for the length of one login.
func (a *authentication) openAgent() ([]ssh.Signer, error) {
	conn, err := new(net.Dialer).DialContext(a.ctx, "unix", a.auth.AgentSocket)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(a.ctx, func() { _ = conn.Close() })
	line := &agentLine{Conn: conn}
	client := agent.NewClient(line)
	a.closeAgent = sync.OnceFunc(func() {
		stop()
		_ = line.Close()
		// The library's reader waits for ever for the request to an answer that nobody asked for.
		_, _ = client.List()
	})
	return client.Signers()
}

// agentLine is a connection to an agent that takes requests when it is closed, and answers none.
type agentLine struct {
	net.Conn
	closed atomic.Bool
}

func (l *agentLine) Close() error {
	l.closed.Store(true)
	return l.Conn.Close()
}

func (l *agentLine) Write(p []byte) (int, error) {
	if l.closed.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// parsedKey is an agent's key whose public key is of the library's own type, so that
// it can be distinguished from others and certificates can be made for it.
type parsedKey struct {
	ssh.Signer
	public ssh.PublicKey
}

// PublicKey returns the key.
func (p parsedKey) PublicKey() ssh.PublicKey { return p.public }

// SignWithAlgorithm passes on to the agent.
func (p parsedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if as, ok := p.Signer.(ssh.AlgorithmSigner); ok {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return p.Signer.Sign(rand, data)
}

// refused is the report once nothing is left to offer.
func (a *authentication) refused(err error) *AuthError {
	// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ, which the library does not know.
	if n := len(a.report.Attempts); n > 0 && a.report.Attempts[n-1].Method == "password" && strings.Contains(err.Error(), "unexpected message type 60 ") {
		a.report.Attempts[n-1].Err = ErrPasswordExpired
	}
	return a.report
}

// banner keeps what the host says before a login.
func (a *authentication) banner(text string) error {
	if a.report.Banner == "" {
		a.report.Banner = clip(text, 1024)
	}
	return nil
}

// clip makes a host's text safe to show, and short.
func clip(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return termsafe.Line(strings.TrimSpace(s))
}
