//go:build !linux

package machines

import "errors"

type delayLine struct{}

func startDelayLine(_, _ string, _ Impairment) (*delayLine, error) { return nil, errors.ErrUnsupported }

func (*delayLine) close() {}
