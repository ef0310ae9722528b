"""``python -m ingest.bilingual train``: make the bundled encoder again, from texts to the folder that is shipped.

Exit codes: 0 done; 1 interrupted, finished stages stay; 2 refused with one sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ingest.command_line import Parser
from ingest.types import IngestError

MINUTES = 70.0  # of training on one core; the stages before it take some fifteen more


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _train(options)
    except (ValueError, IngestError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted; finished stages stay, run the same command to go on.", file=sys.stderr)
        return 1
    return 0


def _train(options: argparse.Namespace) -> None:
    import torch  # after --help and usage errors, which should be instant

    from ingest.bilingual.training.stages import Recipe, Run

    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("There is no CUDA device here; train with --device cpu.")
    if options.minutes <= 0 or (options.steps is not None and options.steps < 1):
        raise ValueError("Training needs more than no time: --minutes and --steps have to be above 0.")
    if options.threads:
        torch.set_num_threads(options.threads)
    teacher = options.teacher
    if teacher is None:
        from ingest.encoder_files import minilm_folder

        teacher = minilm_folder()
    recipe = Recipe(
        options.corpus, options.pairs, options.questions, teacher, options.minutes, options.steps, options.seed
    )
    Run(recipe, options.out, torch.device(options.device)).all()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m ingest.bilingual", description="Train the bundled encoder.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    train = commands.add_parser("train", help="all stages in order; goes on where an earlier run stopped")
    add = train.add_argument
    add(
        "--corpus",
        nargs="+",
        type=Path,
        required=True,
        metavar="SHARD",
        help="JSON lines, plain or .zst: text, source, path",
    )
    add(
        "--pairs",
        type=Path,
        required=True,
        metavar="TSV",
        help="English and Chinese sentences in its first two columns",
    )
    add("--questions", nargs="+", type=Path, required=True, metavar="FILE", help="SQuAD's shape, of both languages")
    add("--out", type=Path, required=True, metavar="DIR", help="for the stages' files; the encoder is DIR/encoder")
    add("--teacher", type=Path, metavar="DIR", help="a BERT that gives sentence vectors (default: all-MiniLM-L6-v2)")
    add(
        "--minutes", type=float, default=MINUTES, metavar="N", help="of the three training loops (default: %(default)g)"
    )
    add("--steps", type=int, metavar="N", help="of each loop, in place of --minutes: the same seed, the same weights")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    add("--threads", type=int, metavar="N", help="of the CPU (default: PyTorch's own choice)")
    add("--seed", type=int, default=1, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
