# Two commands do everything on a fresh machine: `make chat` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
# Keep the two cores for the work itself; downloads and progress bars stay quiet.
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help chat test lint bench model encoder clean

help:
	@echo "make chat   install, index docs/ and open the chat on http://127.0.0.1:7860"
	@echo "make test   install what the tests need, lint, type-check and run every test"
	@echo "make bench  every speed claim, one JSON line each"
	@echo "make model  train the bundled GPT again (CORPUS=dir QA=dir)"
	@echo "make encoder  train the bundled encoder again (CORPUS=dir QA=dir PAIRS=file)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(PIP) -e '.[dev]'
	@touch $@

chat: $(STAMP)
	$(BIN)/python -m ingest docs/en docs/zh  # not its pictures
	$(BIN)/python -m app

test: $(DEV_STAMP) lint
	$(BIN)/python -m pytest

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(DEV_STAMP)
	@for file in bench/*.py; do $(BIN)/python $$file || exit 1; done

# The recipe of the bundled weights with its seeds (the card in gpt/weights/bundled says what differed in the run that
# made them); goes on where it stopped after an interruption.
CORPUS ?= corpus
QA ?= qa
QUESTIONS := $(addprefix $(QA)/,squad-en-train.json fairytale-en-train.json cmrc-zh-train.json drcd-zht-train.json)
PROSE := $(addprefix $(CORPUS)/,en-00.jsonl.zst en-01.jsonl.zst zh-00.jsonl.zst zh-01.jsonl.zst)
# Their 237 passages are of as many articles, those of squad-en-train of 21, so they count three times at first.
INSTRUCTIONS := $(QA)/t0-open-instructions.jsonl.zst
# Sources like what people ask about: textbooks, stories, articles and laws rather than references of software.
LIKE := osbooks factbook classic-books:6 LCTT freeCodeCamp/news LawRef:6 d2l HowToCook OI-wiki
READING := --prose $(PROSE) --sources $(LIKE) --paragraphs 0.4 --rows 64 --ema 40 --keep last \
  --matrix-lr 0.015 --embedding-lr 0.002 --threads 1 --resume
model: $(DEV_STAMP)
	test -f runs/tokenizer/tokenizer.json || \
	  $(BIN)/python -m gpt tokenizer --prose $(PROSE) --every 12 --questions $(QUESTIONS) --out runs/tokenizer
	test -d runs/pretrain/model || \
	  $(BIN)/python -m gpt train --prose $(PROSE) --every 4 --questions $(QUESTIONS) --tokenizer runs/tokenizer \
	    --out runs/pretrain --minutes 25 --warm-down 0.35 --threads 1 --seed 1 --resume
	test -d runs/tune/model || \
	  $(BIN)/python -m gpt tune --model runs/pretrain/model --prose $(PROSE) --every 8 --questions $(QUESTIONS) \
	    --mix prose=0.1,cloze=0.3,questions=0.6 --short 0.7 --rows 64 --ema 40 --keep last --out runs/tune --minutes 90 \
	    --warm-down 0.05 --matrix-lr 0.015 --embedding-lr 0.002 --threads 1 --seed 22 --resume
	test -d runs/reader/model || \
	  $(BIN)/python -m gpt tune --model runs/tune/model $(READING) --out runs/reader --minutes 130 --warm-down 0.02 \
	    --questions $(QUESTIONS) $(foreach n,1 2 3,$(INSTRUCTIONS)) --holes 0.12 --changed 0.5 --short 0.7 \
	    --mix prose=0.05,cloze=0.45,questions=0.5 --seed 31
	for seed in 71 72; do test -d runs/reader-$$seed/model || \
	  $(BIN)/python -m gpt tune --model runs/reader/model $(READING) --out runs/reader-$$seed --minutes 45 \
	    --warm-down 0.9 --questions $(QUESTIONS) $(INSTRUCTIONS) --changed 0.4 --short 0.6 \
	    --mix prose=0.05,cloze=0.3,questions=0.65 --seed $$seed || exit 1; done
	$(BIN)/python -m gpt mean --models runs/reader-71/model runs/reader-72/model --out runs/bundled

# Finished stages in runs/encoder are kept; the result is runs/encoder/encoder. DEVICE=cuda trains on a GPU.
PAIRS ?= parallel/tatoeba-en-zh.tsv
DEVICE ?= cpu
encoder: $(DEV_STAMP)
	$(BIN)/python -m ingest.bilingual train --corpus $(PROSE) --pairs $(PAIRS) --questions $(QUESTIONS) \
	  --out runs/encoder --device $(DEVICE) --seed 1

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
