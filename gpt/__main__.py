"""python -m gpt: generate text, describe weights, inspect a prediction, train a model."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gpt.glass import cli as inspect_cli
from gpt.glass.describe import Description, describe
from gpt.glass.presets import PRESETS, preset

TRAINING = {
    "tokenizer": "learn a byte-level BPE vocabulary",
    "train": "pre-train from random weights",
    "tune": "tune trained weights for reading",
    "reward": "tune further by the reward of the answers given",
    "mean": "the mean of models tuned from the same weights",
    "overlap": "what training files share with evaluation files",
}


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
    g.add_argument("--min-p", type=float, help="leave out tokens below this share of the best one's probability")
    g.add_argument(
        "--repetition-penalty", type=float, default=1.0, metavar="R", help="above 1 holds back what was said"
    )
    g.add_argument("--seed", type=int, help="the same seed gives the same text")
    g.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="default: %(default)s")
    g.add_argument("--logprobs", type=int, default=0, metavar="N", help="a line for each token, with its N rivals")
    g.add_argument("--no-lookup", action="store_true", help="draft no tokens from the prompt: same text, slower")
    g.add_argument("--weights", default="auto", help="auto (the default), fp32, bf16, int8, int4 or plain")
    g.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before TEXT; repeatable")

    d = commands.add_parser("describe", help="the weight table of a model, by kind of matrix")
    d.add_argument("name", metavar="NAME|FOLDER", help=f"{', '.join(PRESETS)}, bundled, or a model folder")
    d.add_argument("--json", action="store_true", help="one JSON object instead of the table")

    inspect_cli.add_arguments(commands.add_parser("inspect", help="a text's tokens, the next token, and all inside"))

    for name, text in TRAINING.items():
        # Listed for --help; gpt.training.train reads the arguments.
        commands.add_parser(name, help=text, add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 refused with one sentence, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in TRAINING:
        from gpt.training.train import main as train

        return train(argv)
    args = parser().parse_args(argv)
    try:
        if args.command == "generate":
            return _generate(args)
        if args.command == "describe":
            return _describe(args)
        return inspect_cli.run(args)
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
    from gpt.glass.inspect import label
    from gpt.load import load_model
    from gpt.sampling import SamplingParams

    drawing = {
        "temperature": args.temperature,
        "top_k": args.top_k,
        "top_p": args.top_p,
        "min_p": args.min_p,
        "repetition_penalty": args.repetition_penalty,
        "seed": args.seed,
    }
    SamplingParams(**drawing)  # refuse before the weights are read
    engine = Engine(*load_model(args.model, weights=args.weights))
    steps = engine.generate(
        engine.prompt(args.prompt),
        **drawing,
        max_new_tokens=args.max_new_tokens,
        stop=args.stop,
        lookup=not args.no_lookup,
        logprobs=args.logprobs,
    )
    for step in steps:
        if args.logprobs:
            others = "".join(f"  {p:.3f} {label(engine.tokenizer, i)!r}" for i, p in step.alternatives)
            print(f"{step.logprob:>8.3f} {label(engine.tokenizer, step.id)!r:<20}{others}", flush=True)
        else:
            print(step.text, end="", flush=True)
    if not args.logprobs:
        print()
    return 0


def _describe(args: argparse.Namespace) -> int:
    table = preset(args.name) or _describe_folder(args.name)
    print(json.dumps(table.as_dict(), ensure_ascii=False) if args.json else table)
    return 0


def _describe_folder(name: str) -> Description:
    from gpt.hub.families import NotNative
    from gpt.load import find_model, read_config

    if name != "bundled" and "/" not in name and not Path(name).expanduser().exists():
        raise ValueError(f"no model is called {name!r}; give {', '.join(PRESETS)}, bundled, or a model folder")
    try:
        return describe(read_config(find_model(name)), name)
    except NotNative as reason:
        raise ValueError(
            f"{name} is a model that only transformers runs, so its matrices are not known: {reason}"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
