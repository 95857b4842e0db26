package main

import "syscall"

// dieWithParent has the kernel end a child whose parent has died without
// ending it, and keeps a terminal's Ctrl-C for the parent, who ends it in order.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
