//go:build unix

package local_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// patient is how long a stopped command may take to clean up after itself on a
// machine that does much else at the same time.
const patient = 20 * time.Second

// Local passes the suite with its own Filer.
func TestConformance(t *testing.T) {
	transporttest.Run(t, harness(t, &local.Transport{Grace: patient}))
}

// The shell Filer passes the suite with this machine's coreutils.
func TestConformanceThroughShell(t *testing.T) {
	transporttest.Run(t, harness(t, transporttest.WithoutFiler(&local.Transport{Grace: patient})))
}

// The shell Filer passes the suite with nothing but busybox.
func TestConformanceThroughBusybox(t *testing.T) {
	busybox := tier.Program(t, "busybox")
	bin := t.TempDir()
	if out, err := exec.Command(busybox, "--install", "-s", bin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("PATH", bin)
	transporttest.Run(t, harness(t, transporttest.WithoutFiler(&local.Transport{Grace: patient})))
}

func harness(t *testing.T, tr transport.Transport) transporttest.Harness {
	h := transporttest.Harness{Transport: tr, Host: "here", Dir: t.TempDir()}
	if os.Geteuid() == 0 {
		h.Owner, h.Group = "nobody", "daemon"
		h.FullDir = smallDisk(t)
	}
	return h
}

// smallDisk mounts a file system of 512 KiB; "" where that is not allowed.
func smallDisk(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Logf("no small file system: %v", err)
		return ""
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
