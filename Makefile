# Slipstream. `make help` lists what there is; `make demo` shows it at work.
#
# A new process is a new folder services/<name> with a main.go: it is built into bin/slipstream-<name> without a line
# here. services/slipstream, the command line, is bin/slipstream.

SHELL := /bin/sh
.DEFAULT_GOAL := help

mains    := $(patsubst services/%/main.go,%,$(wildcard services/*/main.go))
binaries := $(patsubst bin/slipstream-slipstream,bin/slipstream,$(addprefix bin/slipstream-,$(mains)))

# The binaries need no C library, so that they run on any Linux and in an empty container.
version  := $(shell git describe --tags --always --dirty 2>/dev/null)
go_build := CGO_ENABLED=0 go build -trimpath -ldflags '-X slipstream/services/internal/host.version=$(version)'

# How long one package's tests may take.
TEST_TIMEOUT ?= 40m

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(binaries) bin/slipstream.binpb ## build every binary into bin/, and the contracts as a protoset

# Go knows best whether a binary is up to date.
.PHONY: $(binaries)
$(binaries): bin/slipstream%:
	@mkdir -p bin
	$(go_build) -o $@ ./services/$(or $(patsubst -%,%,$*),slipstream)

# What `grpcurl -protoset` reads; make fix keeps it up to date.
bin/slipstream.binpb: gateway/jsonapi/slipstream.binpb
	@mkdir -p bin
	cp $< $@

.PHONY: demo
demo: build ## show a pipeline at work on a real data set and compare both ends; KEEP=1 leaves it running
	@deploy/dev/install-servers redis
	@KEEP=$(KEEP) bin/slipstream-demo

# The package that takes longest, and mostly waits, is named first: all others run beside it, one package more at a time than
# there are processors. Packages tell their results in this order.
.PHONY: test
test: install-servers ## run every test with the race detector, against private servers
	CGO_ENABLED=1 go test -race -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) -timeout $(TEST_TIMEOUT) ./services/e2e work

.PHONY: screenshots
screenshots: install-servers ## take the pictures of the web page in docs/images, from a line at work
	@mkdir -p docs/images
	SLIPSTREAM_SCREENSHOTS='$(CURDIR)/docs/images' go test -count=1 -run '^TestPage$$' ./services/e2e

.PHONY: bench
bench: install-servers ## run every Go benchmark
	go test -run '^$$' -bench . -benchmem -timeout $(TEST_TIMEOUT) work

.PHONY: images
images: build ## build a container image of each process
	@deploy/dev/images

.PHONY: verify
verify: tools ## check all that can be checked without running it; changes nothing
	@deploy/dev/verify

.PHONY: fix
fix: tools ## repair what verify can complain of and a program can repair
	@deploy/dev/verify fix

.PHONY: install-servers
install-servers: ## install what the tests need and what is missing: Redis, PostgreSQL, PgBouncer, MariaDB, Prometheus, Chromium, a C compiler
	@deploy/dev/install-servers

.PHONY: tools
tools: bin/tools/.built bin/tools/.built-lint ## build the tools that tools/ pins into bin/tools/

bin/tools/.built: tools/go.mod tools/go.sum
	@mkdir -p bin/tools
	cd tools && GOWORK=off CGO_ENABLED=0 go build -o ../bin/tools/ tool
	@touch $@

bin/tools/.built-lint: tools/lint/go.mod tools/lint/go.sum
	@mkdir -p bin/tools
	cd tools/lint && GOWORK=off CGO_ENABLED=0 go build -o ../../bin/tools/ tool
	@touch $@

.PHONY: clean
clean: ## remove what make built
	rm -rf bin
