# What this house can do. `make` alone lists it; each target installs what it needs first (tests/make/setup.sh).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# rustup's programs, also for shells that have not heard of them; sshd and friends live in sbin.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:/usr/sbin:/sbin
export CARGO_TERM_PROGRESS_WHEN ?= auto

SETUP := tests/make/setup.sh
TARGET ?= x86_64-unknown-linux-musl
export CONSOLE ?= yes
PREFIX ?= /usr
DESTDIR ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Start a relay and an agent of this machine to try out; CHECK=1 proves it works and stops
	@$(SETUP) demo
	@$(MAKE) web
	@CHECK="$(CHECK)" tests/make/demo.sh

.PHONY: web
web: ## Build the console for the relay to carry; CONSOLE=no leaves it out, here and below
	@$(SETUP) web
	@tests/make/web.sh build

.PHONY: build
build: ## Build everything for development
	@$(SETUP) build
	@$(MAKE) web
	cargo build --locked --workspace

.PHONY: agent
agent: ## Build the agent as one static file (TARGET=aarch64-unknown-linux-musl for another machine)
	@$(SETUP) agent $(TARGET)
	cargo build --locked --profile agent --target $(TARGET) -p cloud-doctor-agent
	@ls -l target/$(TARGET)/agent/cloud-doctor-agent

.PHONY: relay
relay: ## Build the relay with its console and the command line client for production
	@$(SETUP) build
	@$(MAKE) web
	cargo build --locked --release -p cloud-doctor-relay -p cloud-doctor

.PHONY: check
check: ## Everything but the tests: format, lints, docs, tidy, dependencies, the console's own checks
	@$(SETUP) check
	@$(MAKE) web
	cargo fmt --all --check
	rustfmt --check --edition 2024 tests/fuzz/src/lib.rs tests/fuzz/targets/*.rs
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --manifest-path tests/fuzz/Cargo.toml --no-default-features --target-dir target -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	cargo nextest run --locked -p cloud-doctor-tests --test tidy --show-progress none
	tests/make/deny.sh
	tests/make/web.sh check

.PHONY: test
test: ## All tests, at scaled rates
	@$(SETUP) test
	@$(MAKE) web
	cargo build --locked --workspace --bins
	@mkdir -p target && : >target/not-tested
	@status=0; \
	  CLOUD_DOCTOR_NOT_TESTED="$(CURDIR)/target/not-tested" \
	    cargo nextest run --locked --workspace --show-progress none || status=$$?; \
	  tests/make/web.sh e2e || status=$$?; \
	  tests/make/web.sh ui || status=$$?; \
	  cut -f 1 target/not-tested | sort -u | paste -s -d ' ' | \
	    awk '{ print (NF ? "NOT TESTED: " NF ": " $$0 : "every test tested what it names") }'; \
	  exit $$status

.PHONY: stress
stress: ## All tests at full load, with memory return and 60-second cases; about 40 minutes
	@$(SETUP) test
	@$(MAKE) web
	cargo build --locked --workspace --bins
	CLOUD_DOCTOR_STRESS=1 cargo nextest run --locked --profile stress --workspace

.PHONY: bench
bench: ## Figures beside OpenSSH and a plain web terminal, into target/bench/results.jsonl; ONLY=echo runs those whose name starts so
	@$(SETUP) bench
	@$(MAKE) web
	cargo run --locked --release -p cloud-doctor-tests --bin bench -- $(if $(ONLY),--only $(ONLY))

.PHONY: fleet
fleet: ## Build the load generator with what it starts, for production; target/release/cloud-doctor-fleet --help
	@$(SETUP) build
	@$(MAKE) web
	cargo build --locked --release -p cloud-doctor-relay -p cloud-doctor
	cargo build --locked --release -p cloud-doctor-tests --bin cloud-doctor-fleet
	@ls -l target/release/cloud-doctor-fleet

.PHONY: screenshots
screenshots: ## Pictures of every page in both languages and themes, into target/screenshots
	@$(SETUP) screenshots
	@$(MAKE) web
	@tests/make/web.sh screenshots

.PHONY: fuzz
fuzz: ## Each fuzz target for 60 s (SECONDS_EACH=n, ONLY=name)
	@$(SETUP) fuzz
	@ONLY="$(ONLY)" SECONDS_EACH="$(or $(SECONDS_EACH),60)" tests/make/fuzz.sh

.PHONY: install-deps
install-deps: ## Install what all targets need, and nothing else
	@for target in build web check test bench demo fuzz; do $(SETUP) $$target; done

.PHONY: install-agent
install-agent: ## Put the agent and its units below DESTDIR (AGENT=file installs that one instead of building)
	@$(if $(AGENT),,$(MAKE) agent)
	install -D -m 0755 $(or $(AGENT),target/$(TARGET)/agent/cloud-doctor-agent) $(DESTDIR)$(PREFIX)/bin/cloud-doctor-agent
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/cloud-doctor.target \
	  systemd/cloud-doctor-tunnel.service systemd/cloud-doctor-guard.service systemd/cloud-doctor-visits.slice
	install -D -m 0644 systemd/sysusers.d/cloud-doctor.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/cloud-doctor.conf
	install -D -m 0644 systemd/tmpfiles.d/cloud-doctor.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/cloud-doctor.conf

.PHONY: uninstall-agent
uninstall-agent: ## Remove what install-agent put there; after `cloud-doctor-agent unenrol` audit and ceiling stay
	rm -f $(DESTDIR)$(PREFIX)/bin/cloud-doctor-agent $(DESTDIR)$(PREFIX)/lib/sysusers.d/cloud-doctor.conf \
	  $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/cloud-doctor.conf
	cd $(DESTDIR)$(PREFIX)/lib/systemd/system && rm -f cloud-doctor.target cloud-doctor-tunnel.service \
	  cloud-doctor-guard.service cloud-doctor-visits.slice
	rm -f $(DESTDIR)/run/cloud-doctor/guard.sock $(DESTDIR)/run/cloud-doctor/admin.sock
	for folder in run/cloud-doctor/h run/cloud-doctor etc/cloud-doctor var/lib/cloud-doctor-tunnel; do \
	  [ ! -d $(DESTDIR)/$$folder ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)/$$folder; done

.PHONY: install-relay
install-relay: ## Put the relay, its unit and the client below DESTDIR (PROGRAMS=folder installs those instead)
	@$(if $(PROGRAMS),,$(MAKE) relay)
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(or $(PROGRAMS),target/release)/cloud-doctor-relay \
	  $(or $(PROGRAMS),target/release)/cloud-doctor
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/cloud-doctor-relay.service
	install -D -m 0644 systemd/sysusers.d/cloud-doctor-relay.conf \
	  $(DESTDIR)$(PREFIX)/lib/sysusers.d/cloud-doctor-relay.conf

.PHONY: clean
clean: ## Remove what was built
	rm -rf target
