//go:build !linux

package main

import "syscall"

// dieWithParent: only Linux can have the kernel see to it.
func dieWithParent() *syscall.SysProcAttr { return nil }
