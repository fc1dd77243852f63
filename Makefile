# Go and make are all that this file needs. Tests use more when it is there:
# see deps. Variables to set on the command line: TESTFLAGS, PACKAGES, BENCHFLAGS,
# SOAKFLAGS.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PROGRAMS := portmaster port17 stamp lab
# Tests of the kernel share the machine's hooks and its CPUs: few at a time.
TESTFLAGS := -p 3 -timeout 15m
PACKAGES := ./...
# The public libraries, and the programs that make sense without our kernel code.
PORTABLE := ./tinker/... ./netmap/... ./port17/... ./cmd/port17 ./stamp/... ./cmd/stamp
# Objects for the kernel differ from one compiler to the next; these are made with Debian 12's.
CLANG_MAJOR := 14

TOOL := go tool -modfile=$(CURDIR)/tools/go.mod

# go build fails when git refuses to look at the folder, as it does for a
# folder of another user. The revision in the programs is worth less than that.
ifneq ($(shell git -C . rev-parse HEAD >/dev/null 2>&1 && echo ok),ok)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/portmaster, bin/port17, bin/stamp and bin/lab
	CGO_ENABLED=0 go build -trimpath -o bin/ $(PROGRAMS:%=./cmd/%)

.PHONY: up
up: build ## build, then run everything on this machine until Ctrl-C
	@exec bin/lab up

.PHONY: test
test: deps ## run all tests, those of the kernel too when root
	@go -C tools build -o ../bin/.summary ./summary
	@{ go test -json $(TESTFLAGS) $(PACKAGES) || echo '{"Action":"exit"}'; \
		go -C tools test -json ./... || echo '{"Action":"exit"}'; \
		go -C bench/port17 test -json ./... || echo '{"Action":"exit"}'; } 2>&1 | \
		bin/.summary $(if $(filter 1,$(SAFING_REQUIRE_PRIVILEGED)),-forbid-skip 'root|privilege|permission|make deps')

CHECKS := lint-format lint-vet lint-static lint-vulnerabilities lint-generated lint-modules lint-cross

.PHONY: lint
lint: ## check format, mistakes, vulnerabilities, generated files, modules, other systems
	@$(MAKE) -k $(CHECKS)

.PHONY: $(CHECKS)
lint-format:
	@echo "lint: format"
	@files=$$($(TOOL) gofumpt -l .) || exit; [ -z "$$files" ] || \
		{ echo "$$files"; echo "these files are not formatted: run make format"; exit 1; }

lint-vet:
	@echo "lint: vet"
	@go vet ./... && go -C tools vet ./... && go -C bench/port17 vet ./...

lint-static:
	@echo "lint: staticcheck"
	@$(TOOL) staticcheck ./... && go -C tools tool staticcheck ./... && cd bench/port17 && $(TOOL) staticcheck ./...

lint-vulnerabilities:
	@echo "lint: vulnerabilities"
	@out=$$($(TOOL) govulncheck ./... 2>&1); code=$$?; \
	case "$$code:$$out" in \
	0:*) ;; \
	*"fetching vulnerabilities"*) echo "left out: $$(tail -n 1 <<<"$$out")" ;; \
	*) echo "$$out"; exit 1 ;; \
	esac

lint-generated:
	@echo "lint: generated files"
	@tools/generated.sh $(CLANG_MAJOR)

lint-modules:
	@echo "lint: modules"
	@go mod tidy -diff && go -C tools mod tidy -diff && go -C bench/port17 mod tidy -diff || { echo "run go mod tidy"; exit 1; }

lint-cross:
	@echo "lint: other systems"
	@for os in darwin windows; do \
		CGO_ENABLED=0 GOOS=$$os go build -o /dev/null $(PORTABLE) || { echo "does not build for $$os"; exit 1; }; \
	done

.PHONY: bench-port17
bench-port17: build ## measure Port17 against Tor, as root (bench/port17/README.md)
	@go -C bench/port17 build -o ../../bin/bench-port17 .
	@bin/bench-port17 $(BENCHFLAGS)

.PHONY: soak
soak: build ## load a Port17 network for a day, kill its nodes, check every byte; as root
	@bin/lab soak --delay 5ms --clients 2 $(SOAKFLAGS)

.PHONY: format
format: ## format all Go files
	@$(TOOL) gofumpt -w .

.PHONY: generate
generate: ## make the generated files anew (clang for the kernel's)
	go generate ./...

.PHONY: deps
deps: ## install the programs that some tests use: apt-get, when root
	@tools/deps.sh

.PHONY: clean
clean: ## remove what was built, and the lab's state
	@if [ -d .lab ] && [ -x bin/lab ]; then bin/lab clean; fi
	rm -rf bin
