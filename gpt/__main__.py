"""python -m gpt: generate text, describe weights, inspect a prediction, train a model."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gpt.describe import Description, describe
from gpt.presets import PRESETS, preset

TRAINING = {
    "tokenizer": "learn a byte-level BPE vocabulary",
    "train": "pre-train from random weights",
    "tune": "tune trained weights for reading",
}
TEMPERATURES = (0.0, 0.5, 1.0, 1.5, 2.0)


class Parser(argparse.ArgumentParser):
    """Bad usage gets one sentence and exit code 2; --help has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="python -m gpt", description=(__doc__ or "").split(": ", 1)[1])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    g = commands.add_parser("generate", help="continue a prompt, shown as it is written")
    g.add_argument("prompt", metavar="PROMPT")
    g.add_argument("--model", default="bundled", help="'bundled' or a model folder (default: %(default)s)")
    g.add_argument("--temperature", type=float, default=0.0, help="0 (greedy, the default) to 2")
    g.add_argument("--top-k", type=int, help="draw from the k most probable tokens only")
    g.add_argument("--top-p", type=float, help="draw from the fewest tokens that hold this mass")
    g.add_argument("--seed", type=int, help="the same seed gives the same text")
    g.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="default: %(default)s")
    g.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before TEXT; repeatable")

    d = commands.add_parser("describe", help="the weight table of a model, by kind of matrix")
    d.add_argument("name", metavar="NAME|FOLDER", help=f"{', '.join(PRESETS)}, bundled, or a model folder")
    d.add_argument("--json", action="store_true", help="one JSON object instead of the table")

    i = commands.add_parser("inspect", help="a text's tokens, and what the model expects next")
    i.add_argument("text", metavar="TEXT")
    i.add_argument("--model", default="bundled", help="'bundled' or a model folder (default: %(default)s)")
    i.add_argument("--top", type=int, default=10, metavar="N", help="tokens to list (default: %(default)s)")
    i.add_argument("--json", action="store_true", help="one JSON object instead of the tables")

    for name, text in TRAINING.items():
        # Listed for --help; gpt.train reads the arguments.
        commands.add_parser(name, help=text, add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 refused with one sentence, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in TRAINING:
        from gpt.train import main as train

        return train(argv)
    args = parser().parse_args(argv)
    try:
        if args.command == "generate":
            return _generate(args)
        if args.command == "describe":
            return _describe(args)
        return _inspect(args)
    except ValueError as error:
        print(f"python -m gpt {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _generate(args: argparse.Namespace) -> int:
    from gpt.engine import Engine
    from gpt.sampling import SamplingParams

    SamplingParams(args.temperature, args.top_k, args.top_p, args.seed)  # refuse before the weights are read
    engine = Engine.load(args.model)
    steps = engine.generate(
        engine.prompt(args.prompt),
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
        stop=args.stop,
    )
    for step in steps:
        print(step.text, end="", flush=True)
    print()
    return 0


def _describe(args: argparse.Namespace) -> int:
    table = preset(args.name) or _describe_folder(args.name)
    print(json.dumps(table.as_dict(), ensure_ascii=False) if args.json else table)
    return 0


def _describe_folder(name: str) -> Description:
    from gpt.load import find_model, read_config

    if name != "bundled" and not Path(name).expanduser().exists():
        raise ValueError(
            f"no model is called {name!r}; give {', '.join(PRESETS)}, bundled, or a model folder"
        )
    return describe(read_config(find_model(name)), name)


def _inspect(args: argparse.Namespace) -> int:
    from gpt.engine import Engine
    from gpt.sampling import SamplingParams, distribution

    if args.top < 1:
        raise ValueError(f"--top is {args.top}; give at least 1")
    engine = Engine.load(args.model)
    ids = engine.prompt(args.text)
    logits = engine.logits(ids)
    columns = [distribution(logits, SamplingParams(t)) for t in TEMPERATURES]
    best = columns[TEMPERATURES.index(1.0)].sort(descending=True, stable=True).indices[: args.top].tolist()
    tokens = [(token, engine.tokenizer.name(token)) for token in ids]
    following = [
        (token, engine.tokenizer.name(token), [float(column[token]) for column in columns]) for token in best
    ]
    if args.json:
        data = {
            "tokens": [{"id": token, "text": text} for token, text in tokens],
            "temperatures": list(TEMPERATURES),
            "next": [{"id": token, "text": text, "probabilities": p} for token, text, p in following],
        }
        print(json.dumps(data, ensure_ascii=False))
        return 0
    print(f"{len(ids)} tokens")
    for token, text in tokens:
        print(f"{token:>8}  {json.dumps(text, ensure_ascii=False)}")
    print("\nprobability of the next token at temperature")
    print(f"{'id':>8}" + "".join(f"{t:>9g}" for t in TEMPERATURES) + "  token")
    for token, text, p in following:
        print(f"{token:>8}" + "".join(f"{v:>9.4f}" for v in p) + f"  {json.dumps(text, ensure_ascii=False)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
