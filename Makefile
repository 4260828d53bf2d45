# Stint. `make run` shows a cluster, `make test` passes the tests; `make help` lists the rest.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
IMAGE   ?= stint:latest
# The plugin where there is one, else the older program of its own.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: help build run test lint bench bench-all faults sim hostile fuzz image compose clean

help: ## list these words
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t12

build: ## bin/stint, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/stint ./cmd/stint

run: build ## start three nodes on loopback, show that they agree, and leave them up
	@$(GO) build -o bin/bench ./bench
	@bin/bench demo -stint bin/stint

test: lint ## linters, then every test with the race detector
	@# The race detector allocates, so what must not is tested without it.
	$(GO) test -run Nothing ./bucket ./node ./node/lease ./transport ./transport/native ./transport/peer ./transport/policy ./transport/client ./transport/httpserver ./transport/socket ./bench/load
	@# With it, sockets are read and written the plain way.
	$(GO) test ./transport/socket ./transport/peer ./transport/httpserver
	$(GO) test -race -timeout 10m ./...
	@# Whole clusters from a seed, of each class: without the race detector, which makes them twenty times slower.
	$(GO) test -count=1 -run 'TestSim$$|TestHandoffsLoseNothing|TestSplitShareKeepsTheLimit|TestSplitDenyIsOneSide' ./node
	@# Real processes under fault and load: by themselves, for they need the machine.
	STINT_FAULTS=1 $(GO) test -count=1 -run TestFaults ./bench

lint: ## gofmt, vet, staticcheck, govulncheck (where its data can be had)
	@.ci/lint

bench: build ## the tables: Stint beside the bare echo and Redis (5 min)
	$(GO) run ./bench run -stint bin/stint

bench-all: build ## the whole matrix: rivals, batch sizes, keys, nodes, backups and leases on and off, memory, plots in out/plots (half an hour)
	$(GO) run ./bench run -all -stint bin/stint -plots out/plots $(if $(GUBERNATOR),-gubernator $(GUBERNATOR))

faults: build ## crashes, pauses, cuts and restarts under load, counted both ways: the table of docs/guarantees.md (35 min; root for cuts)
	$(GO) run ./bench faults -stint bin/stint

sim: ## SEEDS (default 300) schedules of each class, for the protocol alone and for whole nodes
	$(GO) test ./node/hold -run 'TestWorld$$' -timeout 12h -world.seeds $(or $(SEEDS),300)
	$(GO) test ./node -run 'TestSim$$' -timeout 12h -sim.class= -sim.seeds $(or $(SEEDS),300)

hostile: ## truncated, oversized, lying and random bytes on every port of real nodes for HOSTILE (default 1m) each
	STINT_HOSTILE=$(or $(HOSTILE),1m) $(GO) test -count=1 -v -timeout 30m -run TestHostileBytes ./cmd/stint

fuzz: ## every fuzz target for FUZZTIME (default 20s) each
	@.ci/fuzz

image: build ## the container image, from scratch
	docker build -q -t $(IMAGE) .

compose: image ## three containers: compose.yaml
	$(COMPOSE) up

clean: ## remove what the others made
	rm -rf bin out
