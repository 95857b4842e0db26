module oracle

go 1.26

require (
	github.com/davecgh/go-spew v1.1.1
	github.com/docker/distribution v0.0.0-20170726174610-edc3ab29cdff
	github.com/gogo/protobuf v0.0.0-20171007142547-342cbe0a0415
	github.com/golang/protobuf v1.2.0
	github.com/google/gofuzz v1.0.0
	github.com/googleapis/gnostic v0.0.0-20170729233727-0c5108395e2d
	github.com/json-iterator/go v1.1.12
	github.com/modern-go/reflect2 v1.0.2
	github.com/opencontainers/go-digest v0.0.0-20170106003457-a6d0ee40d420
	github.com/spf13/pflag v1.0.1
	golang.org/x/crypto v0.33.0
	golang.org/x/net v0.35.0
	golang.org/x/sys v0.30.0
	golang.org/x/term v0.29.0
	golang.org/x/text v0.22.0
	golang.org/x/time v0.0.0-20161028155119-f51c12702a4d
	gopkg.in/yaml.v2 v2.2.8
	gopkg.in/yaml.v3 v3.0.1
	k8s.io/api v0.0.0
	k8s.io/apiextensions-apiserver v0.0.0
	k8s.io/apimachinery v0.0.0
	k8s.io/apiserver v0.0.0
	k8s.io/client-go v0.0.0
	k8s.io/code-generator v0.0.0
	k8s.io/kube-aggregator v0.0.0
	k8s.io/kube-openapi v0.0.0-20190228160746-b3a7cee44a30
	k8s.io/kubernetes v1.10.4
	k8s.io/metrics v0.0.0
	k8s.io/sample-apiserver v0.0.0
	k8s.io/sample-controller v0.0.0
)

require (
	github.com/ghodss/yaml v0.0.0-00010101000000-000000000000 // indirect
	github.com/golang/glog v0.0.0-00010101000000-000000000000 // indirect
	github.com/modern-go/concurrent v0.0.0-20180228061459-e0a39a4cb421 // indirect
	github.com/ugorji/go/codec v1.3.2 // indirect
	gopkg.in/inf.v0 v0.0.0-00010101000000-000000000000 // indirect
)

replace (
	github.com/davecgh/go-spew => github.com/davecgh/go-spew v1.1.1
	github.com/docker/distribution => github.com/docker/distribution v0.0.0-20170726174610-edc3ab29cdff
	github.com/ghodss/yaml => github.com/ghodss/yaml v0.0.0-20180820084758-c7ce16629ff4
	github.com/gogo/protobuf => github.com/gogo/protobuf v0.0.0-20171007142547-342cbe0a0415
	github.com/golang/glog => github.com/golang/glog v0.0.0-20160126235308-23def4e6c14b
	github.com/golang/protobuf => github.com/golang/protobuf v1.2.0
	github.com/google/gofuzz => github.com/google/gofuzz v0.0.0-20170612174753-24818f796faf
	github.com/googleapis/gnostic => github.com/googleapis/gnostic v0.0.0-20170729233727-0c5108395e2d
	github.com/modern-go/concurrent => github.com/modern-go/concurrent v0.0.0-20180306012644-bacd9c7ef1dd
	github.com/opencontainers/go-digest => github.com/opencontainers/go-digest v0.0.0-20170106003457-a6d0ee40d420
	github.com/spf13/pflag => github.com/spf13/pflag v1.0.1
	golang.org/x/time => golang.org/x/time v0.0.0-20161028155119-f51c12702a4d
	gopkg.in/inf.v0 => gopkg.in/inf.v0 v0.9.0
	gopkg.in/yaml.v2 => gopkg.in/yaml.v2 v2.2.8
	k8s.io/api => ./staging/api
	k8s.io/apiextensions-apiserver => ./staging/apiextensions-apiserver
	k8s.io/apimachinery => ./staging/apimachinery
	k8s.io/apiserver => ./staging/apiserver
	k8s.io/client-go => ./staging/client-go
	k8s.io/code-generator => ./staging/code-generator
	k8s.io/kube-aggregator => ./staging/kube-aggregator
	k8s.io/kube-openapi => k8s.io/kube-openapi v0.0.0-20190228160746-b3a7cee44a30
	k8s.io/kubernetes => ./staging/kubernetes
	k8s.io/metrics => ./staging/metrics
	k8s.io/sample-apiserver => ./staging/sample-apiserver
	k8s.io/sample-controller => ./staging/sample-controller
	vbom.ml/util => github.com/fvbommel/util v0.0.0-20160121211510-db5cfe13f5cc
)
