package machines

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// delayLine forwards frames between two interfaces, later, and not all of them.
type delayLine struct {
	ends []*os.File
	done chan struct{}
	busy sync.WaitGroup
}

// Frames come as the kernel's own, checksums and segments not made yet, behind a
// virtio header of 10 bytes that says so (PACKET_VNET_HDR in packet(7)); sent
// with it they are what they were.
const largestFrame = 10 + 1<<16 + 64

// queued is how many frames wait in one direction; more are lost, as they are in
// a router. At 250 ms and 64 KiB each this is above what two cores forward.
const queued = 4096

// startDelayLine forwards until close.
func startDelayLine(a, b string, i Impairment) (*delayLine, error) {
	l := &delayLine{done: make(chan struct{})}
	for _, name := range []string{a, b} {
		f, err := packetSocket(name)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		l.ends = append(l.ends, f)
	}
	l.forward(l.ends[0], l.ends[1], i, 0)
	l.forward(l.ends[1], l.ends[0], i, 1)
	return l, nil
}

// close stops forwarding and returns when nothing runs any more.
func (l *delayLine) close() {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	for _, f := range l.ends {
		_ = f.Close() // ends what reads from it
	}
	l.busy.Wait()
}

type delayed struct {
	due   time.Time
	frame []byte
}

func (l *delayLine) forward(from, to *os.File, i Impairment, way uint64) {
	queue := make(chan delayed, queued)
	l.busy.Go(func() {
		defer close(queue)
		chance := rand.New(rand.NewPCG(i.Seed, way))
		buf := make([]byte, largestFrame)
		var last time.Time
		for {
			n, err := from.Read(buf)
			if errors.Is(err, unix.ENETDOWN) {
				continue // a cable that was pulled, or is being
			}
			if err != nil {
				return
			}
			if chance.Float64() < i.Loss {
				continue
			}
			due := time.Now().Add(i.Latency / 2)
			if i.Jitter > 0 {
				due = due.Add(time.Duration(chance.Int64N(int64(i.Jitter))))
			}
			if due.Before(last) {
				due = last
			}
			last = due
			select {
			case queue <- delayed{due, append([]byte(nil), buf[:n]...)}:
			default:
			}
		}
	})
	l.busy.Go(func() {
		for d := range queue {
			timer := time.NewTimer(time.Until(d.due))
			select {
			case <-timer.C:
			case <-l.done:
				timer.Stop()
				continue // empties the queue
			}
			_, _ = to.Write(d.frame) // what cannot be sent is lost
		}
	})
}

// packetSocket reads and writes every frame of an interface but those that it
// sends itself.
func packetSocket(name string) (*os.File, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in the network's order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 16<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}),
	)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "packets of "+name), nil
}
