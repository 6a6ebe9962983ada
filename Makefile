# Quarterdeck. `make demo` shows it, `make test` needs Go alone. Many tests wait for
# something to happen, so more packages are tested at once than there may be cores.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: demo test test-all bench bench-all lint build

demo: ## a small real platform on this machine with the bot on top
	go run ./bot/demo

build: ## the quarterdeck binary
	go build -trimpath -ldflags '-s -w' -o quarterdeck ./bot/quarterdeck

test: ## every test that needs Go alone
	go test -p 3 ./...

# SQLite is C translated to Go, and slow under the race detector, which looks for
# the translator's faults there and not for ours: it is left out of it. So are the
# tests of whole programs, which bot/app has under it in one process; most of their
# time they wait.
WITH = QUARTERDECK_TEST_ALL=1 .ci/systemd .ci/alertmanager .ci/prometheus .ci/postgres .ci/mariadb .ci/openfeature
PROGRAMS = ./bot/quarterdeck ./bot/demo
test-all: ## everything, with the real servers and under the race detector; a skip is a failure
	@log=$$(mktemp); status=0; \
	$(WITH) sh -c 'go test -count=1 -timeout 20m -parallel 6 -v $(PROGRAMS); programs=$$?; \
		go test -race -gcflags="modernc.org/...=-race=false" -count=1 -timeout 20m -p 3 -v $$(go list ./... | grep -vxE "quarterdeck/bot/(quarterdeck|demo)") && exit $$programs' >$$log 2>&1 || status=$$?; \
	grep -aE '^(ok|FAIL|panic:|---? FAIL|\s+--- FAIL)' $$log || true; \
	if [ $$status -ne 0 ]; then grep -aE -A25 '_test.go:[0-9]+:|FAIL: testdata|panic:' $$log | grep -avE '=== (RUN|PAUSE|CONT|NAME)|--- PASS' | tail -n 300 | cut -c1-500; rm -f $$log; exit $$status; fi; \
	if grep -aE -- '--- SKIP' $$log; then echo "a skip is a failure here"; rm -f $$log; exit 1; fi; \
	rm -f $$log

lint: ## formatting, vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt'ed: $$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

bench: ## measures, as ratios against the raw bound of the same run; writes bench.json
	go run ./bot/bench

bench-all: ## with real servers too, which it installs and starts
	.ci/postgres go run ./bot/bench
