# Daybreak. `make` alone lists the targets; `make check` is all that CI runs.

GO          ?= go
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
PYTHON      ?= python3
DATA        ?=
ARGS        ?=

# Packages whose tests use a database or a broker: run again with a real Kafka and the other PostgreSQL.
REAL = ./internal/postgres/... ./internal/kafka/... ./internal/web ./sim/... ./cmd/...

.DEFAULT_GOAL := help

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## a whole trading day in a temporary directory; ARGS="--households 500"
	$(GO) run ./cmd/daybreak demo $(ARGS)

up: ## everything on this machine, pages on 127.0.0.1:8080; DATA=DIR says where it is kept
	$(GO) run ./cmd/daybreak up $(if $(DATA),--data $(DATA)) $(ARGS)

build: ## bin/daybreak
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o bin/daybreak ./cmd/daybreak

check: fmt-check lint tidy fused-check test real demo-check ## all that CI runs

check-long: check ## besides, what takes long: three brokers, DAYBREAK_LONG=1, 100,000 tax histories, mutants of the tax engine
	DAYBREAK_HISTORIES=100000 DAYBREAK_MUTANTS=1 $(GO) test -count=1 -timeout 60m ./region
	scripts/kafka.sh run 3 env DAYBREAK_LONG=1 $(GO) test -count=1 -timeout 60m ./...

test: ## all tests with the race detector, on PostgreSQL 18 and the in-process broker
	DAYBREAK_TEST_PG=18 $(GO) test -race -timeout 20m ./...

real: ## tests of databases and brokers again, on PostgreSQL 15, a real Kafka and a real registry of schemas
	scripts/kafka.sh run 1 scripts/registry.sh run env DAYBREAK_TEST_PG=15 $(GO) test -count=1 -timeout 20m $(REAL)

demo-check: build ## the demo of the built binary ends well
	bin/daybreak demo

tidy: ## layers, purity and sizes (internal/tidy)
	$(GO) test -count=1 ./internal/tidy

lint: ## vet and staticcheck
	$(GO) vet ./...
	$(STATICCHECK) ./...

fmt: ## format the source
	gofmt -w $$(git ls-files '*.go')

fmt-check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted, run 'make fmt':"; echo "$$unformatted"; exit 1; }

keycloak-test: ## the sign-on against a real Keycloak from Maven Central, which it fetches once (180 MB); needs Java 17 and Maven
	scripts/keycloak.sh run $(GO) test -count=1 -v ./internal/oidc -run TestKeycloak

compare: build ## optimiser against cvxpy and Clarabel on the stored accounts; needs Python with numpy, cvxpy, clarabel
	@for s in etf10 di100 di500; do gzip -dc testdata/optimum/$$s.json.gz > bin/$$s.json && bin/daybreak plan bin/$$s.json > bin/$$s.jsonl && \
		$(PYTHON) scripts/compare_optimum.py bin/$$s.json bin/$$s.jsonl --solve 3 || exit 1; done

fused-check: ## the optimiser gives the same bits on every processor: no fused multiply and add
	scripts/check_fused.sh

bench: ## all benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

kafka-up: ## start a real Kafka on this machine and print its address
	scripts/kafka.sh up

kafka-down: ## stop it
	scripts/kafka.sh down

.PHONY: help demo up build check check-long test real demo-check tidy lint fmt fmt-check bench kafka-up kafka-down
