package survey_test

import (
	"fmt"

	"github.com/quorate-dev/quorate/plan/ha/survey"
)

// What becomes of a change to a field of a cluster that runs.
func ExampleFieldOf() {
	for _, path := range []string{"etcd.quotaBytes", "etcd.dataDir", "kubeadm.apiServerArgs[audit-log-maxage]"} {
		f, _ := survey.FieldOf(path)
		fmt.Println(path, f.Class)
	}
	// Output:
	// etcd.quotaBytes run
	// etcd.dataDir fixed
	// kubeadm.apiServerArgs[audit-log-maxage] other
}
