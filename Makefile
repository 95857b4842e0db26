# What a developer runs. CI runs .ci/run, which uses the same targets.
export GOFLAGS := -buildvcs=false
LINT := .ci/bin/golangci-lint
MODULES := . plan/etcdjournal plan/otelplan etcd/etcdclient/e2e examples/quickstart examples/lab
ORACLES := go run ./kubeadm/internal/oracle/cmd/oracles
PRIVILEGED := QUORATE_CI=1 QUORATE_E2E=1

# Every package that has tests, of every module in the work space.
TESTED := ./... ./plan/etcdjournal/... ./plan/otelplan/... ./etcd/etcdclient/e2e/... ./examples/quickstart/... ./examples/lab/...
# Where goroutines meet; tiers_test.go finds what is missing.
RACED := ./internal/... ./transport/... ./etcd/etcdclient/... ./plan/... ./examples/... ./plan/etcdjournal/... ./plan/otelplan/... ./etcd/etcdclient/e2e/... ./examples/quickstart/... ./examples/lab/...
# Those with tests named TestReal.
HOSTED := ./vip ./plan/ha/internal/holder ./plan/drill ./transport/internal/opensshtest ./transport/ssh ./transport/sudo ./etcd/etcdclient ./etcd/etcdclient/e2e ./plan/ha/preflight

.PHONY: fuzz help demo test race host sweep scale lint api builds oracle oracles importer e2e e2e-full availability settings members drill

help: ## What each target does.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## A quorum of real etcd members on this machine, no root needed.
	go run ./examples/quickstart

test: ## Every test that needs neither root, other hosts nor real time; three minutes at most.
	go test -timeout 30m $(TESTED)

race: ## The same with the race detector, where goroutines meet.
	go test -race -timeout 60m $(RACED)

host: ## Real daemons in network namespaces, real users and sudo, a real browser, and real time; Linux and root needed.
	QUORATE_HOST=1 go test -race -count=1 -p 1 -parallel 2 -timeout 20m -v -run '^TestReal' $(HOSTED)

sweep: ## Each call of the recipe failed in turn, in every way, on hosts in memory.
	QUORATE_SWEEP=all go test -count=1 -timeout 60m -v -run '^(TestCrashSweep|TestNoResetLosesQuorum|TestEveryFieldIsReconfigured|TestJoinOf|TestRejoinOf|TestRollbackOfAChange|TestPrefetchChangesNothing|TestKilledAnywhere)' ./plan/ha ./plan/ha/statedir

scale: ## A run that changes nothing on 3 to 1,000 hosts behind SSH servers in this process: what a host costs.
	QUORATE_SCALE=3,30,300,1000 go test -count=1 -v -run '^TestScale$$' ./plan/ha

FUZZTIME := 1m
fuzz: ## Every fuzz target of every module, each for FUZZTIME.
	@for m in $(MODULES); do (cd $$m && for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "fuzz $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done) || exit 1; done

lint: $(LINT) ## Vet and lint every module.
	@for m in $(MODULES); do echo "lint $$m"; (cd $$m && $(CURDIR)/$(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

$(LINT): .ci/lint/go.mod .ci/lint/go.sum
	cd .ci/lint && GOWORK=off go build -o $(CURDIR)/$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

api: ## What the public API has lost or changed since the last version.
	.ci/api/check

builds: ## What e2e builds of other projects, kept in the user's cache: a quarter of an hour on two cores at first.
	$(PRIVILEGED) go test -count=1 -timeout 90m -v -run '^TestE2EBuild$$' ./examples/lab/internal/build

oracle: ## Everything the goldens hold, a matrix of clusters and its migrations, through the code of kubeadm's own releases.
	cd kubeadm/upstream && GOWORK=off go test -count=1 -timeout 90m ./...
	$(ORACLES) -ci
	QUORATE_ORACLES="$$($(ORACLES) -where)" go test -count=1 -timeout 90m ./kubeadm/...

oracles: ## The samples, the matrix and its migrations, through the code of every release there is an oracle of; writes docs/oracles.log.
	$(ORACLES) >docs/oracles.log
	QUORATE_ORACLES="$$($(ORACLES) -where)" go test -count=1 -timeout 60m -v -run '^(TestOracles|TestSamples|TestMigrateLikeKubeadm|TestMigrateOthers|TestCorpusLikeKubeadm|TestMigrateSeesADifference|TestMigrationsAreIndependent)$$' ./kubeadm ./kubeadm/internal/oracle >>docs/oracles.log

importer: ## Programs in a module outside this tree: one imports every package, one is an installer with tests of its own.
	.ci/importer

e2e: ## A real cluster on real hosts, root needed; power cut and timing included.
	$(PRIVILEGED) go test -p 1 -count=1 -timeout 60m -v -run '^TestE2E' ./examples/lab/...

e2e-full: e2e ## And the operator killed at fourteen moments of a run; docs/resume.log has the last one.
	$(PRIVILEGED) go test -p 1 -count=1 -timeout 60m -v -run '^TestFull' ./examples/lab

availability: ## What failures of the VIP's holder cost writes, with haproxy and without, QUORATE_ROUNDS times each.
	$(PRIVILEGED) go test -p 1 -count=1 -timeout 60m -v -run '^TestAvailability' ./examples/lab

settings: ## Settings of a real cluster changed while it is written to, root needed; writes docs/proof/settings.json.
	$(PRIVILEGED) QUORATE_PROOF=$(CURDIR)/docs/proof/settings.json go test -count=1 -timeout 60m -v -run '^TestSettingsUnderWrites' ./examples/lab

members: ## A control plane of a real cluster replaced for good while it is written to, root needed; writes docs/proof/members.json.
	$(PRIVILEGED) QUORATE_PROOF=$(CURDIR)/docs/proof/members.json go test -count=1 -timeout 60m -v -run '^TestMembersUnderWrites' ./examples/lab

drill: ## Everything a drill knows on a real cluster, root needed; writes docs/drill.json and docs/drill.html.
	go run ./examples/lab up -workers 0 -etcd-disk 512
	go run ./examples/lab drill -out docs; code=$$?; go run ./examples/lab down; exit $$code
