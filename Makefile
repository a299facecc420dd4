# Two commands: `make demo` and `make test`. Each sets everything up by itself and is safe to run again.
.POSIX:
.PHONY: demo test lab lint benchmark setup clean

PYTHON := $(shell for p in python3 python3.11 python3.12; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && { echo "$$p"; break; }; done)
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
EXTRAS := $(RUNTIME),embedded,vision,pytorch,keras,sklearn,boosting,huggingface,llm,recsys,loadgen,delivery,docker,tune,report,workshop,test
BIN := .venv/bin
READY := .venv/ready-$(RUNTIME)

demo: setup  ## A customer's model to a decision, a report and a bundle. Any verdict is a demo that worked.
	@$(BIN)/toolkit run pocs/vision || test $$? -eq 1

test: lint  ## What continuous integration runs.
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -m "not slow and not timing" -n 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m "timing and not slow"

lab: setup  ## The guided notebooks.
	JUPYTER_CONFIG_PATH=$(CURDIR)/notebooks/settings $(BIN)/jupyter lab notebooks/00-start-here.ipynb

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

benchmark: setup  ## What exceeds the time of `make test`; the table of tests/benchmarks/README.md.
	$(BIN)/python -m pytest -m slow -s tests

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed: apt-get install python3 python3-venv"; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "venv is missing: apt-get install python3-venv"; exit 3; }
	@$(PYTHON) -c 'import ctypes, sys; ctypes.CDLL("libpython%d.%d.so.1.0" % sys.version_info[:2])' 2>/dev/null \
	|| { $(PYTHON) -c 'import sys; print("libpython is missing: apt-get install libpython%d.%d" % sys.version_info[:2])'; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test "$(RUNTIME)" = gpu || $(BIN)/python -m pip config list | grep -qE 'index|find-links' \
	|| echo "Note: PyTorch from the default index brings several GB of CUDA libraries; for the CPU build interrupt this" \
	"and set PIP_EXTRA_INDEX_URL to PyTorch's CPU index (pytorch.org: Get Started, Pip, CPU)."
	$(BIN)/python -m pip install --progress-bar off --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
