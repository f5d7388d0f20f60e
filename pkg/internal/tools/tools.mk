# Linters and generators, pinned in pkg/internal/tools/go.mod and built from
# source through the Go proxy into .tools/.

TOOLS := $(CURDIR)/.tools

$(TOOLS)/.installed: pkg/internal/tools/go.mod pkg/internal/tools/go.sum
	GOBIN=$(TOOLS) go -C pkg/internal/tools install tool
	@touch $@

.PHONY: tools proto proto-baseline lint-proto lint-proto-drift lint-static lint-vuln

tools: $(TOOLS)/.installed ## build the pinned linters and generators into .tools/

proto: $(TOOLS)/.installed ## generate the Go code of schemas/proto
	cd schemas/proto && PATH="$(TOOLS):$$PATH" buf generate

# What lint-proto holds later changes against: the schemas of the last release.
proto-baseline: $(TOOLS)/.installed ## at a release: later schemas must not break those of now
	cd schemas/proto && $(TOOLS)/buf build --exclude-source-info -o baseline.binpb

lint-proto: $(TOOLS)/.installed lint-proto-drift
	cd schemas/proto && $(TOOLS)/buf lint && $(TOOLS)/buf format --diff --exit-code && $(TOOLS)/buf breaking --against baseline.binpb

# The committed code must be what the schemas give: generate it elsewhere and compare.
lint-proto-drift: $(TOOLS)/.installed
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	(cd schemas/proto && PATH="$(TOOLS):$$PATH" buf generate --output "$$dir/a/b") && \
	diff -r "$$dir/pkg/wire/trenchv1" pkg/wire/trenchv1 || \
	{ echo "pkg/wire/trenchv1 is not what schemas/proto gives: run make proto" >&2; exit 1; }

lint-static: $(TOOLS)/.installed
	$(TOOLS)/staticcheck ./...

# Needs the vulnerability database; says so and goes on when it can't be reached.
lint-vuln: $(TOOLS)/.installed
	@code=0; out=$$($(TOOLS)/govulncheck ./... 2>&1) || code=$$?; \
	if [ $$code -ne 0 ] && echo "$$out" | grep -q 'vuln.go.dev'; then \
		echo "govulncheck: SKIPPED, the vulnerability database can't be reached" >&2; \
	else echo "$$out"; exit $$code; fi
