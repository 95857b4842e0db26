package sshtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
)

// Fault is a way in which a server is broken or hostile.
type Fault string

// The faults, in the order in which a client comes to them. Those called
// endless end with the connection.
const (
	BannerMissing     Fault = "no banner"                          // the connection is taken and nothing is ever sent
	ClosedAtOnce      Fault = "closed at once"                     // before a banner
	BannerEndless     Fault = "an endless banner"                  // a line that never ends
	LinesEndless      Fault = "endless lines"                      // before the banner
	BannerSlow        Fault = "a slow banner"                      // a byte each second
	OtherProtocol     Fault = "another protocol"                   // HTTP answers
	VersionOne        Fault = "version 1 of the protocol"          //
	KexHangs          Fault = "a hung key exchange"                // nothing after the banner
	KexClosed         Fault = "closed in the key exchange"         //
	KexGarbage        Fault = "garbage in the key exchange"        //
	PacketHuge        Fault = "a huge packet"                      // a length of 4 GiB
	KexReplyHangs     Fault = "a hung reply to the key exchange"   // algorithms are agreed upon, and nothing follows
	IgnoreEndless     Fault = "endless ignored packets"            // in the key exchange
	NoAlgorithm       Fault = "no common algorithm"                //
	SignatureWrong    Fault = "a wrong signature"                  // with the host key
	LoginHangs        Fault = "a hung login"                       //
	LoginClosed       Fault = "closed in the login"                //
	BannersEndless    Fault = "endless banners in the login"       //
	QuestionsEndless  Fault = "endless questions"                  // of keyboard-interactive, alone offered
	NeverEnough       Fault = "a login that is never enough"       // each key is accepted, and another one wanted
	LoginDropped      Fault = "dropped after the proof"            // the user has proved to be who it is, and the connection ends
	DropsAtOnce       Fault = "dropped after the login"            // which has succeeded
	GarbageLater      Fault = "garbage after the login"            //
	KeyChanges        Fault = "another key at the rekeying"        //
	RekeyEndless      Fault = "endless rekeying"                   // everything else works
	GlobalFlood       Fault = "a flood of global requests"         // without an end; everything else works
	ChannelFlood      Fault = "a flood of channels"                // the server opens them without an end; everything else works
	SessionHangs      Fault = "a hung session"                     // a request for one is not answered
	SessionRefused    Fault = "every session refused"              //
	CommandHangs      Fault = "a hung command"                     // a request to run one is not answered
	CommandClosed     Fault = "a session closed at a command"      // a request to run one ends the session
	CommandRefused    Fault = "every command refused"              //
	CommandSilent     Fault = "a command that does not start"      // it is taken, and nothing comes of it
	CommandReplaced   Fault = "a forced command"                   // something else answers, with status 0
	CommandMerged     Fault = "both streams as one"                // as a gateway does that keeps a record
	CommandCut        Fault = "a command cut off"                  // its frame has no end, and the status is 0
	StatusReplaced    Fault = "a replaced exit status"             // 3 in place of the command's own
	ExtensionsEndless Fault = "endless extensions"                 // EXT_INFO, before the login
	ExtensionsHuge    Fault = "more extensions than bytes"         // an EXT_INFO that claims 4 billion
	PacketLarge       Fault = "a packet over 256 KiB"              // encrypted, in a command
	PacketsIgnored    Fault = "a flood of ignored packets"         // of 200 KiB each, after the login; everything else works
	PacketsTiny       Fault = "packets of a byte"                  // are the largest that the server takes
	ChannelUnknown    Fault = "data for no channel"                // in a command
	GivenUpMidstream  Fault = "data for no channel, and a flood"   // endless
	RequestUnknown    Fault = "a flood of requests for no channel" // everything else works
	ConfirmedTwice    Fault = "a session opened twice"             //
	WindowFlood       Fault = "a flood of window updates"          // of 0 bytes; everything else works
	WindowOverflow    Fault = "a window over 4 GiB"                //
	WindowExceeded    Fault = "more output than the window"        //
	AnswerFlood       Fault = "a flood of answers"                 // to nothing; everything else works
	StreamUnknown     Fault = "a flood of a third stream"          // everything else works
	OutputInCrumbs    Fault = "output in packets of a byte"        // 2 MiB of it
	PingFlood         Fault = "a flood of pings"                   // everything else works
	PingsUnread       Fault = "endless pings, answers unread"      //
	FloodBefore       Fault = "a flood before the command"         // of standard error, endless
	FloodOfOutput     Fault = "a flood of output"                  // after the command's own
	ExitMissing       Fault = "no exit status"                     // the session ends without one
	ExitMalformed     Fault = "a malformed exit status"            // and a flood of requests after it
	SignalMalformed   Fault = "a malformed exit signal"            //
	RequestFlood      Fault = "a flood of requests"                // in the session, before its exit status
	DropsCommand      Fault = "dropped in a command"               // the connection breaks
	HangsCommand      Fault = "hung in a command"                  // the connection hangs
	InputUnread       Fault = "unread input"                       // the command reads none and ignores signals
)

// Faults returns all of them.
func Faults() []Fault {
	return []Fault{
		BannerMissing, ClosedAtOnce, BannerEndless, LinesEndless, BannerSlow, OtherProtocol, VersionOne, KexHangs, KexClosed,
		KexGarbage, PacketHuge, KexReplyHangs, IgnoreEndless, NoAlgorithm, SignatureWrong, LoginHangs, LoginClosed,
		BannersEndless, QuestionsEndless, NeverEnough, LoginDropped, DropsAtOnce, GarbageLater, KeyChanges, RekeyEndless, GlobalFlood,
		ChannelFlood, SessionHangs, SessionRefused, CommandHangs, CommandClosed, CommandRefused,
		CommandSilent, CommandReplaced, CommandMerged, CommandCut, StatusReplaced, ExtensionsEndless, ExtensionsHuge, PacketLarge,
		PacketsIgnored, PacketsTiny, ChannelUnknown, GivenUpMidstream, RequestUnknown, ConfirmedTwice, WindowFlood, WindowOverflow, WindowExceeded, AnswerFlood,
		StreamUnknown, OutputInCrumbs, PingFlood, PingsUnread, FloodBefore, FloodOfOutput, ExitMissing, ExitMalformed, SignalMalformed, RequestFlood,
		DropsCommand, HangsCommand, InputUnread,
	}
}

const banner = "SSH-2.0-broken\r\n"

// rawFaults serve a connection without the library.
var rawFaults = map[Fault]func(ctx context.Context, w *wire){
	BannerMissing: func(ctx context.Context, w *wire) { listen(ctx, w, "") },
	ClosedAtOnce:  func(context.Context, *wire) {},
	BannerEndless: func(_ context.Context, w *wire) { endless(w, []byte("x")) },
	LinesEndless:  func(_ context.Context, w *wire) { endless(w, []byte("hello\r\n")) },
	BannerSlow: func(ctx context.Context, w *wire) {
		go func() { _, _ = io.Copy(io.Discard, w) }()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for i := range len(banner) {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := w.Write([]byte{banner[i]}); err != nil {
				return
			}
		}
		<-ctx.Done()
	},
	OtherProtocol: func(_ context.Context, w *wire) {
		go func() { _, _ = io.Copy(io.Discard, w) }()
		_, _ = io.WriteString(w, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	},
	VersionOne: func(ctx context.Context, w *wire) { listen(ctx, w, "SSH-1.5-old\r\n") },
	KexHangs:   func(ctx context.Context, w *wire) { listen(ctx, w, banner) },
	KexClosed: func(_ context.Context, w *wire) {
		_, _ = io.ReadFull(w, make([]byte, 16))
		_, _ = io.WriteString(w, banner)
	},
	KexGarbage: func(ctx context.Context, w *wire) {
		listen(ctx, w, banner+"\x00\x00\x00\x0c\x04garbage\x00\x00\x00\x00")
	},
	PacketHuge:    func(ctx context.Context, w *wire) { listen(ctx, w, banner+"\xff\xff\xff\xff\x04") },
	KexReplyHangs: func(ctx context.Context, w *wire) { listen(ctx, w, banner+string(kexInit())) },
	IgnoreEndless: func(_ context.Context, w *wire) {
		go func() { _, _ = io.Copy(io.Discard, w) }()
		_, _ = w.Write(append([]byte(banner), kexInit()...))
		endless(w, packet(append([]byte{2, 0, 0, 4, 0}, make([]byte, 1024)...)))
	},
}

// handFaults are served by hand.
var handFaults = []Fault{
	ExtensionsEndless, ExtensionsHuge, PacketLarge, PacketsIgnored, PacketsTiny, ChannelUnknown, GivenUpMidstream, RequestUnknown, ConfirmedTwice, WindowFlood,
	WindowOverflow, WindowExceeded, AnswerFlood, StreamUnknown, OutputInCrumbs, PingFlood, PingsUnread,
}

// listen sends a text, reads what comes, and waits.
func listen(ctx context.Context, w *wire, text string) {
	go func() { _, _ = io.Copy(io.Discard, w) }()
	_, _ = io.WriteString(w, text)
	<-ctx.Done()
}

func endless(w *wire, what []byte) {
	go func() { _, _ = io.Copy(io.Discard, w) }()
	what = bytes.Repeat(what, max(1, 1024/len(what)))
	for {
		if _, err := w.Write(what); err != nil {
			return
		}
	}
}

// kexInit is a message that offers what every client takes.
func kexInit() []byte {
	s := ssh.SupportedAlgorithms()
	const curve, key = ssh.KeyExchangeCurve25519, ssh.KeyAlgoED25519
	return packet(ssh.Marshal(struct {
		Cookie               [16]byte `sshtype:"20"`
		Kex, HostKeys        []string
		Ciphers, CiphersBack []string
		MACs, MACsBack       []string
		Compression, Back    []string
		Languages, LangBack  []string
		FirstFollows         bool
		Reserved             uint32
	}{
		Kex: []string{curve}, HostKeys: []string{key}, Ciphers: s.Ciphers, CiphersBack: s.Ciphers, MACs: s.MACs, MACsBack: s.MACs,
		Compression: []string{"none"}, Back: []string{"none"},
	}))
}

// packet frames a payload as before the keys are agreed upon (RFC 4253, section 6).
func packet(payload []byte) []byte {
	padding := 8 - (len(payload)+5)%8
	if padding < 4 {
		padding += 8
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding)) //nolint:gosec // small
	b = append(b, byte(padding))
	b = append(b, payload...)
	return append(b, make([]byte, padding)...)
}

// hostSigner is the host key, which signs something else, or becomes another one, if that is
// the fault.
func (s *Server) hostSigner(key, then ssh.Signer) ssh.Signer {
	switch s.cfg.Fault {
	case SignatureWrong:
		return liar{key}
	case KeyChanges:
		return &changing{first: key, then: then}
	}
	return key
}

// changing is one key until it has signed, and another one from then on.
type changing struct {
	first, then ssh.Signer

	mu     sync.Mutex
	signed bool
}

func (c *changing) now() ssh.Signer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signed {
		return c.then
	}
	return c.first
}

func (c *changing) PublicKey() ssh.PublicKey { return c.now().PublicKey() }

func (c *changing) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	signer := c.now()
	c.mu.Lock()
	c.signed = true
	c.mu.Unlock()
	return signer.Sign(rand, data)
}

type liar struct{ ssh.Signer }

func (l liar) Sign(rand io.Reader, _ []byte) (*ssh.Signature, error) {
	return l.Signer.Sign(rand, []byte("something else"))
}

// breakLogin changes how users log in.
func (s *Server) breakLogin() {
	login := s.ssh.PublicKeyCallback
	switch s.cfg.Fault {
	case NoAlgorithm:
		s.ssh.KeyExchanges = []string{ssh.InsecureKeyExchangeDH1SHA1}
	case LoginHangs:
		s.ssh.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			<-s.life.Done()
			return nil, s.life.Err()
		}
	case LoginDropped:
		s.ssh.VerifiedPublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey, *ssh.Permissions, string) (*ssh.Permissions, error) {
			s.Drop()
			return nil, io.ErrClosedPipe
		}
	case KeyChanges, RekeyEndless:
		s.ssh.RekeyThreshold = 1 // the library makes it 256 bytes
	case LoginClosed:
		s.ssh.PublicKeyCallback = func(m ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			s.Drop()
			return login(m, k)
		}
	case BannersEndless:
		s.ssh.PublicKeyCallback = func(m ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			text := string(bytes.Repeat([]byte("banner\x1b[2J "), 100))
			for m.(ssh.ServerPreAuthConn).SendAuthBanner(text) == nil {
			}
			return nil, io.ErrClosedPipe
		}
	case QuestionsEndless:
		s.ssh.PublicKeyCallback = nil
		s.ssh.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for {
				if _, err := ask("", "", []string{"Code: "}, []bool{false}); err != nil {
					return nil, err
				}
			}
		}
	case NeverEnough:
		s.ssh.PublicKeyCallback = func(m ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if _, err := login(m, k); err != nil {
				return nil, err
			}
			return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{PublicKeyCallback: s.ssh.PublicKeyCallback}}
		}
	}
}

// breakConnection breaks what the user has logged in to.
func (s *Server) breakConnection(conn ssh.Conn, w *wire) {
	switch s.cfg.Fault {
	case DropsAtOnce:
		_ = w.Close()
	case GarbageLater:
		endless(w, []byte("\xff\xff\xff\xffgarbage"))
	case ChannelFlood:
		floodChannels(conn)
	case GlobalFlood:
		for {
			if _, _, err := conn.SendRequest("flood@example.com", true, make([]byte, 1024)); err != nil {
				return
			}
		}
	}
}

func floodChannels(conn ssh.Conn) {
	for {
		_, _, err := conn.OpenChannel("forwarded-tcpip", nil)
		if _, refused := err.(*ssh.OpenChannelError); !refused { //nolint:errorlint // the library returns it bare
			return
		}
	}
}

// broken answers a command in the way of the fault; false runs it.
func (s *Server) broken(ctx context.Context, channel ssh.Channel, line string) bool {
	switch s.cfg.Fault {
	case CommandSilent, InputUnread:
		if s.cfg.Fault == InputUnread {
			_ = s.exec(ctx, channel, "exec 0</dev/null; "+line)
			ctx = s.life
		}
		<-ctx.Done()
	case CommandReplaced:
		_, _ = io.WriteString(channel, "as you wish\n")
		status(channel, 0)
	case CommandMerged:
		_ = s.exec(ctx, channel, line+" 2>&1")
		status(channel, 0)
	case CommandCut:
		_ = s.conn.Run(ctx, transport.Cmd{Argv: []string{"sh", "-c", line}, Stdout: channel, Stderr: &cut{to: channel.Stderr()}})
		status(channel, 0)
	case StatusReplaced:
		_ = s.exec(ctx, channel, line)
		status(channel, 3)
	case FloodBefore:
		flood(channel.Stderr())
	case FloodOfOutput:
		_ = s.exec(ctx, channel, line)
		flood(channel)
	case ExitMissing:
		_ = s.exec(ctx, channel, line)
	case ExitMalformed:
		_ = s.exec(ctx, channel, line)
		_, _ = channel.SendRequest("exit-status", false, []byte{0})
		for range 100 {
			_, _ = channel.SendRequest("unknown", false, nil)
		}
	case SignalMalformed:
		_ = s.exec(ctx, channel, line)
		_, _ = channel.SendRequest("exit-signal", false, []byte{0, 0, 0, 9})
	case RequestFlood:
		_ = s.exec(ctx, channel, line)
		for range 10_000 {
			_, _ = channel.SendRequest("flood@example.com", false, make([]byte, 1024))
		}
		status(channel, 0)
	case DropsCommand:
		_ = s.exec(ctx, channel, line)
		s.Drop()
	case HangsCommand:
		_ = s.exec(ctx, channel, line)
		s.Hang()
		<-s.life.Done()
	default:
		return false
	}
	return true
}

// cut passes on what comes before the end of a frame.
type cut struct {
	to   io.Writer
	over bool
}

func (c *cut) Write(p []byte) (int, error) {
	if before, _, found := bytes.Cut(p, []byte("[/")); found && !c.over {
		c.over = true
		_, err := c.to.Write(before)
		return len(p), err
	}
	if c.over {
		return len(p), nil
	}
	return c.to.Write(p)
}

func flood(to io.Writer) {
	chunk := bytes.Repeat([]byte("flood "), 4096)
	for {
		if _, err := to.Write(chunk); err != nil {
			return
		}
	}
}
