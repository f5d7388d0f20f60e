# Trench. `make` lists what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CORPUS  ?= ../shared/corpus
VENV    := $(CURDIR)/.venv
PYTHON  ?= python3
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w"

include pkg/internal/tools/tools.mk
include deploy/local/local.mk

.PHONY: help build test unit race e2e trainer lint bench bench-bus fuzz model evaluate lab conformance torture

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build all commands into bin/
	CGO_ENABLED=0 go build $(GOFLAGS_BUILD) -o bin/ ./services/...

test: lint unit trainer e2e fuzz ## everything: linters, unit tests, trainer, end to end with the real Kafka and ClickHouse, a little fuzzing

unit: ## the quick loop: go test of all packages
	go test ./...

race: ## unit tests under the race detector
	go test -race ./...

e2e: $(VENV)/.installed ## real Kafka, real ClickHouse, four real processes, real LightGBM
	TRENCH_TRAINER_PYTHON=$(VENV)/bin/python go test -tags e2e -count=1 -timeout 20m ./pkg/packet ./pkg/filter ./pkg/afpacket ./pkg/bus/kafka ./pkg/store ./pkg/model ./pkg/internal/... ./deploy/...

# How long the torture lasts, about; below 10 it is the short form that e2e has too.
MINUTES ?= 15

torture: ## kill, freeze and cut everything for MINUTES (15) and count what is lost; the table goes into docs/reliability.md
	go test -tags e2e -count=1 -v ./pkg/internal/torture -run TestTorture -timeout 40m -torture.minutes $(MINUTES) -torture.report $(CURDIR)/docs/reliability.md

trainer: $(VENV)/.installed ## tests of the trainer
	cd services/trainer && $(VENV)/bin/python -m ruff check . && $(VENV)/bin/python -m pytest -q

lint: $(TOOLS)/.installed ## gofmt, vet, staticcheck, buf, govulncheck, go.mod
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$out" ]; then echo "not gofmt'd:" $$out >&2; exit 1; fi
	go vet ./... && go vet -tags e2e ./...
	go mod tidy -diff
	$(MAKE) lint-static lint-proto lint-vuln

# How long each fuzz target runs.
FUZZTIME ?= 3s

fuzz: ## every fuzz target for FUZZTIME (3s; at length: make fuzz FUZZTIME=10m), with seeds from the corpus where it is
	go run ./pkg/internal/seeds
	@for p in $$(grep -rl '^func Fuzz' --include='*_test.go' pkg services | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$p/*_test.go | cut -c6- | sort); do \
	    echo "fuzz ./$$p $$f"; go test ./$$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x >.fuzz.log 2>&1 || { cat .fuzz.log >&2; exit 1; }; \
	  done; \
	done; rm -f .fuzz.log

bench: ## cost of each stage against the bare reader on one core and on the bus, and the Go benchmarks
	go run ./pkg/internal/bench -all
	go test -run '^$$' -bench . -benchmem ./pkg/...

bench-bus: ## the services between the real Kafka and ClickHouse: flows a second, CPU, bytes on the topics
	go run ./pkg/internal/bench -bus -source train

conformance: ## compare with other analysers' published results, as docs/conformance.md
	go run ./pkg/internal/conformance -o docs/conformance.md
	@sed -n '/^| reference/,/^$$/p' docs/conformance.md

model: $(VENV)/.installed build ## train the default bundle from the corpus into pkg/model/default
	PYTHON=$(VENV)/bin/python CORPUS=$(CORPUS) services/trainer/make-model.sh

lab: ## as root: real TLS clients against real servers in namespaces into testdata/lab, and what the model flags of them
	pkg/internal/lab/setup.sh .cache/lab
	go run ./pkg/internal/lab -o testdata/lab -cache .cache/lab

evaluate: $(VENV)/.installed build ## search hyper-parameters and fill the tables of docs/model.md (an hour or two; resumable)
	PYTHON=$(VENV)/bin/python CORPUS=$(CORPUS) services/trainer/make-evaluate.sh

$(VENV)/.installed: services/trainer/requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
