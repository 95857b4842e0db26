package sshtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
)

// Numbers of messages (RFC 4250, section 4.1.2; RFC 8308).
const (
	msgIgnore          = 2
	msgServiceAccept   = 6
	msgExtInfo         = 7
	msgKexInit         = 20
	msgNewKeys         = 21
	msgKexReply        = 31
	msgAuthRequest     = 50
	msgAuthSuccess     = 52
	msgGlobalFailure   = 82
	msgChannelOpen     = 90
	msgChannelConfirm  = 91
	msgWindowAdjust    = 93
	msgChannelData     = 94
	msgChannelExtended = 95
	msgChannelClose    = 97
	msgChannelRequest  = 98
	msgChannelSuccess  = 99
	msgPing            = 192
)

// peer speaks the protocol by hand, for what the library does not send: it logs in whoever
// comes, and serves sessions one after the other.
type peer struct {
	server *Server
	fault  Fault
	wire   *wire
	from   *bufio.Reader
	open   *sealed // of what the client sends
	work   sync.WaitGroup

	mu   sync.Mutex
	seal *sealed
}

// sealed is one direction's cipher and MAC: aes128-ctr with hmac-sha2-256. nil is none.
type sealed struct {
	stream cipher.Stream
	key    []byte
	number uint32
}

func (c *sealed) mac(packet []byte) []byte {
	h := hmac.New(sha256.New, c.key)
	_ = binary.Write(h, binary.BigEndian, c.number)
	_, _ = h.Write(packet)
	return h.Sum(nil)
}

// byHand serves a connection of one of handFaults.
func (s *Server) byHand(ctx context.Context, w *wire) {
	p := &peer{server: s, fault: s.cfg.Fault, wire: w, from: bufio.NewReader(w), open: &sealed{}, seal: &sealed{}}
	defer p.work.Wait()
	defer func() { _ = w.Close() }()
	if p.agree() != nil || p.login() != nil {
		return
	}
	_ = p.serve(ctx)
}

// send sends one message.
func (p *peer) send(parts ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var payload []byte
	for _, part := range parts {
		switch part := part.(type) {
		case int:
			payload = append(payload, byte(part)) //nolint:gosec // a message's number or a truth
		case uint32:
			payload = binary.BigEndian.AppendUint32(payload, part)
		case string:
			payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(part))), part...) //nolint:gosec // small
		case []byte:
			payload = append(payload, part...)
		}
	}
	padding := 16 - (len(payload)+5)%16
	if padding < 4 {
		padding += 16
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding)) //nolint:gosec // small
	b = append(append(append(b, byte(padding)), payload...), make([]byte, padding)...)
	if p.seal.stream != nil {
		sum := p.seal.mac(b)
		p.seal.stream.XORKeyStream(b, b)
		b = append(b, sum...)
	}
	p.seal.number++
	_, err := p.wire.Write(b)
	return err
}

// receive returns the next message.
func (p *peer) receive() ([]byte, error) {
	head := make([]byte, 16)
	if p.open.stream == nil {
		head = head[:8]
	}
	if _, err := io.ReadFull(p.from, head); err != nil {
		return nil, err
	}
	if p.open.stream != nil {
		p.open.stream.XORKeyStream(head, head)
	}
	length, padding := binary.BigEndian.Uint32(head), int(head[4])
	if length > 1<<18 || int(length)+4 < len(head) || int(length) <= padding+1 {
		return nil, errors.New("sshtest: a packet cannot be read")
	}
	rest := make([]byte, int(length)+4-len(head))
	if _, err := io.ReadFull(p.from, rest); err != nil {
		return nil, err
	}
	if p.open.stream != nil {
		p.open.stream.XORKeyStream(rest, rest)
		if _, err := io.ReadFull(p.from, make([]byte, sha256.Size)); err != nil {
			return nil, err
		}
	}
	p.open.number++
	return append(head, rest...)[5 : 4+int(length)-padding], nil
}

// expect returns the next message of a kind, and skips others.
func (p *peer) expect(kind byte) ([]byte, error) {
	for {
		m, err := p.receive()
		if err != nil || m[0] == kind {
			return m, err
		}
	}
}

// agree is the key exchange: curve25519-sha256 (RFC 8731).
func (p *peer) agree() error {
	if _, err := io.WriteString(p.wire, banner); err != nil {
		return err
	}
	theirs, err := p.from.ReadString('\n')
	if err != nil {
		return err
	}
	init := ssh.Marshal(struct {
		Cookie                                                 [16]byte `sshtype:"20"`
		Kex, HostKeys, Ciphers, CiphersBack, MACs, MACsBack    []string
		Compression, CompressionBack, Languages, LanguagesBack []string
		FirstFollows                                           bool
		Reserved                                               uint32
	}{
		Kex: []string{ssh.KeyExchangeCurve25519}, HostKeys: []string{p.server.hostKey.Type()},
		Ciphers: []string{"aes128-ctr"}, CiphersBack: []string{"aes128-ctr"}, MACs: []string{"hmac-sha2-256"}, MACsBack: []string{"hmac-sha2-256"},
		Compression: []string{"none"}, CompressionBack: []string{"none"},
	})
	if err := p.send(init); err != nil {
		return err
	}
	clientInit, err := p.expect(msgKexInit)
	if err != nil {
		return err
	}
	ask, err := p.receive() // SSH_MSG_KEX_ECDH_INIT
	if err != nil {
		return err
	}
	var public struct {
		Key []byte `sshtype:"30"`
	}
	if err := ssh.Unmarshal(ask, &public); err != nil {
		return err
	}
	far, err := ecdh.X25519().NewPublicKey(public.Key)
	if err != nil {
		return err
	}
	mine, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	shared, err := mine.ECDH(far)
	if err != nil {
		return err
	}
	secret := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(shared)})
	key := p.server.hostKey.Marshal()
	digest := sha256.New()
	for _, part := range [][]byte{
		bytes.TrimRight([]byte(theirs), "\r\n"), bytes.TrimRight([]byte(banner), "\r\n"), clientInit, init, key, public.Key, mine.PublicKey().Bytes(),
	} {
		_, _ = digest.Write(ssh.Marshal(struct{ B []byte }{part}))
	}
	_, _ = digest.Write(secret)
	hash := digest.Sum(nil)
	signature, err := p.server.signer.Sign(rand.Reader, hash)
	if err != nil {
		return err
	}
	if err := p.send(msgKexReply, string(key), string(mine.PublicKey().Bytes()), string(ssh.Marshal(signature))); err != nil {
		return err
	}
	if err := p.send(msgNewKeys); err != nil {
		return err
	}
	if _, err := p.expect(msgNewKeys); err != nil {
		return err
	}
	derive := func(letter byte) []byte {
		sum := sha256.Sum256(append(append(append(bytes.Clone(secret), hash...), letter), hash...))
		return sum[:]
	}
	for letters, direction := range map[string]*sealed{"ACE": p.open, "BDF": p.seal} {
		block, err := aes.NewCipher(derive(letters[1])[:16])
		if err != nil {
			return err
		}
		direction.stream = cipher.NewCTR(block, derive(letters[0])[:16])
		direction.key = derive(letters[2])
	}
	return nil
}

// login accepts whoever asks.
func (p *peer) login() error {
	switch p.fault {
	case ExtensionsHuge:
		return p.send(msgExtInfo, ^uint32(0), "server-sig-algs", "")
	case ExtensionsEndless:
		for {
			if err := p.send(msgExtInfo, uint32(0)); err != nil {
				return err
			}
		}
	}
	if _, err := p.receive(); err != nil { // a request for ssh-userauth
		return err
	}
	if err := p.send(msgServiceAccept, "ssh-userauth"); err != nil {
		return err
	}
	if _, err := p.expect(msgAuthRequest); err != nil {
		return err
	}
	return p.send(msgAuthSuccess)
}

// serve answers a logged in client.
func (p *peer) serve(ctx context.Context) error {
	for range few / 10 {
		if p.fault != PacketsIgnored {
			break
		}
		if err := p.send(msgIgnore, string(make([]byte, 200<<10))); err != nil {
			return err
		}
	}
	for {
		m, err := p.receive()
		if err != nil {
			return err
		}
		switch m[0] {
		case 80: // a global request, of which each is answered
			err = p.send(msgGlobalFailure)
		case msgChannelOpen:
			_, rest := cutString(m[1:])
			err = p.confirm(rest[:4])
		case msgChannelRequest:
			channel := bytes.Clone(m[1:5])
			name, rest := cutString(m[5:])
			if string(name) != "exec" {
				continue
			}
			line, _ := cutString(rest[1:])
			p.work.Go(func() { _ = p.exec(ctx, channel, string(line)) })
			if p.fault == PingsUnread {
				<-ctx.Done()
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
	}
}

func cutString(b []byte) (s, rest []byte) {
	if len(b) < 4 || len(b)-4 < int(binary.BigEndian.Uint32(b)) {
		return nil, nil
	}
	n := binary.BigEndian.Uint32(b)
	return b[4 : 4+n], b[4+n:]
}

// confirm opens a channel, whose number on both sides is the client's.
func (p *peer) confirm(channel []byte) error {
	window, packet := uint32(1<<20), uint32(32<<10)
	switch p.fault {
	case PacketsTiny:
		packet = 1
	case ConfirmedTwice:
		if err := p.send(msgChannelConfirm, channel, channel, window, packet); err != nil {
			return err
		}
	}
	return p.send(msgChannelConfirm, channel, channel, window, packet)
}

// few is how many times a flood repeats what costs the server little.
const few = 2000

// exec runs a command, with the fault before its end.
func (p *peer) exec(ctx context.Context, channel []byte, line string) error {
	if err := p.send(msgChannelSuccess, channel); err != nil {
		return err
	}
	run := func() {
		_ = p.server.conn.Run(ctx, transport.Cmd{Argv: []string{"sh", "-c", line}, Stdin: bytes.NewReader(nil), Stdout: data{p, channel, 0}, Stderr: data{p, channel, 1}})
	}
	var err error
	repeat := func(times int, parts ...any) {
		for range times {
			if err == nil {
				err = p.send(parts...)
			}
		}
	}
	run()
	switch p.fault {
	case GivenUpMidstream:
		repeat(1, msgChannelData, uint32(77), "whose?")
		for err == nil {
			err = p.send(msgWindowAdjust, channel, uint32(0))
		}
	case PacketLarge:
		repeat(1, msgIgnore, string(make([]byte, 300<<10)))
	case ChannelUnknown:
		repeat(1, msgChannelData, uint32(77), "whose?")
	case RequestUnknown:
		repeat(few, msgChannelRequest, uint32(1<<31), "exit-status", 1, uint32(0))
	case WindowFlood:
		repeat(few, msgWindowAdjust, channel, uint32(0))
	case WindowOverflow:
		repeat(2, msgWindowAdjust, channel, ^uint32(0))
	case WindowExceeded:
		repeat(3<<5, msgChannelData, channel, string(make([]byte, 32<<10)))
	case AnswerFlood:
		repeat(few, msgChannelSuccess, channel)
		repeat(few, msgGlobalFailure)
	case StreamUnknown:
		repeat(few, msgChannelExtended, channel, uint32(7), string(make([]byte, 16<<10)))
	case OutputInCrumbs:
		repeat(2<<20, msgChannelData, channel, "x")
	case PingFlood:
		repeat(few, msgPing, string(make([]byte, 1024)))
	case PingsUnread:
		for err == nil {
			err = p.send(msgPing, string(make([]byte, 1024)))
		}
	}
	if err != nil {
		return err
	}
	if err := p.send(msgChannelRequest, channel, "exit-status", 0, uint32(0)); err != nil {
		return err
	}
	return p.send(msgChannelClose, channel)
}

// data sends what is written to it over one of a channel's streams.
type data struct {
	peer    *peer
	channel []byte
	stream  uint32
}

func (d data) Write(p []byte) (int, error) {
	if len(p) > 16<<10 {
		return 0, fmt.Errorf("sshtest: a write of %d bytes", len(p))
	}
	parts := []any{msgChannelData, d.channel, string(p)}
	if d.stream > 0 {
		parts = []any{msgChannelExtended, d.channel, d.stream, string(p)}
	}
	return len(p), d.peer.send(parts...)
}
