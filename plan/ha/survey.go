package ha

import (
	"context"

	"github.com/quorate-dev/quorate/plan/ha/survey"
)

// Survey reads the running cluster and holds the description against it: every host, what
// the API and etcd say, who has the VIP, what is on disk and what runs, what an operation
// left that did not come to its end, and what to do next. It takes one round trip a host
// and one tunnel a member of etcd, and changes nothing. Hosts that do not answer are
// findings.
//
// The error is that of a configuration that has no Transport, or ctx's.
func (c *Cluster) Survey(ctx context.Context, cfg survey.Config) (*survey.Survey, error) {
	r, err := c.rendered()
	if err != nil {
		return nil, err
	}
	return survey.Run(ctx, cfg, r.described())
}
