"""``python -m rag ask | search | chat | evaluate | calibrate | tune``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest.command_line import Parser
from ingest.terminal import tamed
from ingest.types import IngestError
from rag.settings import Settings, check_question, load
from rag.strategies.names import NAMES
from rag.types import Answer, Cancelled, RagError

DONE, NOTHING = 0, 2


def parser() -> argparse.ArgumentParser:
    """The command line of DESIGN: every flag may also come from OPENBOOK_… or openbook.toml."""
    top = Parser(prog="python -m rag", description="Ask your documents; every answer is copied from them and cited.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="one JSON object as the last line of output")
        return command

    def answering(command: argparse.ArgumentParser) -> None:
        command.add_argument("--store", type=Path, help="where the documents are kept (default .openbook)")
        command.add_argument("-k", type=_number, help="passages to read, 1 to 50 (default 5)")
        command.add_argument("--model", help="bundled, none, a model folder, or openai:MODEL@http://host/v1")
        command.add_argument("--mode", help="quote (copy from the documents) or compose (write, with citations)")
        command.add_argument("--temperature", type=_number, help="0 (greedy, default) to 2")
        command.add_argument("--strategy", help=f"how the model is prompted: {', '.join(NAMES)}")
        command.add_argument("--top-p", type=_number, help="above 0 and at most 1 (default)")
        command.add_argument("--seed", type=_number, help="the same seed gives the same answer (default 0)")
        command.add_argument("--prompts", type=Path, help="a folder of prompt templates to use instead of our own")
        command.add_argument("--reranker", type=Path, help="folder of a cross-encoder for the best passages")
        command.add_argument("--timeout", type=_number, help="seconds that a model server may be silent (default 60)")

    ask = add("ask", "Answer one question.")
    ask.add_argument("question")
    answering(ask)
    search = add("search", "Show the passages that a question finds.")
    search.add_argument("question")
    search.add_argument("--store", type=Path, help="where the documents are kept (default .openbook)")
    search.add_argument("-k", type=_number, help="passages to show, 1 to 50 (default 5)")
    answering(add("chat", "A conversation in the terminal; an empty line or Ctrl-D ends it."))
    evaluate = add("evaluate", "Measure retrieval and answers on question files, or on your own documents.")
    evaluate.add_argument("files", nargs="*", type=Path, metavar="SQUAD.json")
    evaluate.add_argument("--own", type=Path, metavar="PATH", help="make the questions from these documents instead")
    evaluate.add_argument("--against", nargs="+", default=[], metavar="KEY=VALUE", help="with --own, compare settings")
    evaluate.add_argument("--strategies", nargs="+", default=[], metavar="NAME", help="compare these side by side")
    evaluate.add_argument("--dialogues", nargs="*", metavar="FILE", help="measure follow-ups (default: our own)")
    answering(evaluate)
    evaluate.add_argument("--limit", type=int, help="only that many questions (--own: 200 unless given)")
    evaluate.add_argument("--calibration", type=Path, help="another calibration file")
    evaluate.add_argument("--curve", type=Path, metavar="FILE", help="accuracy over coverage, as .png or .json")
    evaluate.add_argument("--failures", type=int, default=0, metavar="N", help="N failures of each file as a table")
    fit = add("calibrate", "Fit confidence, thresholds and sentence scores on question files.")
    fit.add_argument("files", nargs="+", type=Path, metavar="TRAIN.json")
    fit.add_argument("--dev", nargs="+", type=Path, required=True, metavar="DEV.json", help="for the thresholds")
    fit.add_argument("--model", help="none fits the plain profile, any other model the reader's too")
    fit.add_argument("--limit", type=int, default=3000, help="questions per file (default 3000)")
    fit.add_argument("--out", type=Path, help="where to write (default: rag/calibration.json)")
    adapt = add("tune", "Let the bundled reader learn from the documents of a store; kept only if it reads better.")
    adapt.add_argument("--store", type=Path, help="where the documents are kept (default .openbook)")
    adapt.add_argument("--model", help="only bundled (default) is tuned")
    adapt.add_argument("--minutes", type=_number, default=5, help="of training, 0.1 to 240 (default 5)")
    adapt.add_argument("--seed", type=_number, help="of the order of the questions (default 0)")
    what = adapt.add_mutually_exclusive_group()
    what.add_argument("--undo", action="store_true", help="go back to the reader before the last tuning")
    what.add_argument("--status", action="store_true", help="say which reader the store uses, with its figures")
    return top


def _number(text: str) -> float | int | str:
    """A number where it is one; anything else is refused by the settings, by name and with its range."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


@tamed()
def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 nothing done."""
    args = parser().parse_args(argv)
    try:
        return _COMMANDS[args.command](args)
    except (RagError, IngestError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()
    return NOTHING


def _settings(args: argparse.Namespace) -> Settings:
    names = ("store", "model", "temperature", "top_p", "seed", "k", "mode", "strategy", "prompts", "timeout")
    return load(**{name: getattr(args, name, None) for name in names})


def _ask(args: argparse.Namespace) -> int:
    settings = _settings(args)
    question = check_question(args.question)
    from rag.chain import build_chain

    chain = build_chain(**settings.model_dump())
    try:
        answer = chain.invoke(question)
    finally:
        chain.close()
    if args.json:
        print(json.dumps(answer.model_dump(mode="json"), ensure_ascii=False))
    else:
        _show(answer)
    return DONE


def _search(args: argparse.Namespace) -> int:
    settings = _settings(args)
    question = check_question(args.question)
    from rag.retriever import to_source
    from rag.search import Searcher

    searcher = Searcher.open(settings.store)
    try:
        hits = [to_source(hit) for hit in searcher.search(question, settings.k).hits]
    finally:
        searcher.close()
    if args.json:
        rows = [{**hit.model_dump(mode="json", exclude={"cited"})} for hit in hits]
        print(json.dumps({"question": question, "hits": rows}, ensure_ascii=False))
        return DONE
    for hit in hits:
        ranks = f"words {hit.lexical_rank or '–'}, meaning {hit.dense_rank or '–'}"
        print(f"[{hit.n}] {place(hit)}   score {hit.score:.3f} ({ranks})\n{hit.text.strip()}\n")
    return DONE


def _chat(args: argparse.Namespace) -> int:
    from rag.chain import build_chain

    chain = build_chain(**_settings(args).model_dump())
    history: list[dict[str, str]] = []
    try:
        while True:
            try:
                question = input("> ").strip()
            except EOFError:
                break
            if not question:
                break
            try:
                answer = chain.invoke({"question": question, "history": history})
            except Cancelled:
                continue
            except RagError as error:
                print(error, file=sys.stderr)
                continue
            if args.json:
                print(json.dumps(answer.model_dump(mode="json"), ensure_ascii=False), flush=True)
            else:
                _show(answer)
            history += [{"role": "user", "content": question}, {"role": "assistant", "content": answer.answer}]
    finally:
        chain.close()
    return DONE


def _show(answer: Answer) -> None:
    if answer.rewritten != answer.question:
        print(f"({answer.rewritten})")
    for line in answer.plan:
        print(f"  {line}")
    print(answer.answer)
    print()
    shown = [s for s in answer.sources if s.cited or answer.refused]
    for source in shown:
        print(f"[{source.n}] {place(source)}")
    for warning in answer.warnings:
        print(warning, file=sys.stderr)
    print(f"confidence {answer.confidence:.2f}")


def place(source: Any) -> str:
    """Where a passage stands: file, headings, page, characters."""
    parts = [source.source]
    if source.headings:
        parts.append(" > ".join(source.headings))
    if source.page is not None:
        parts.append(f"page {source.page}")
    parts.append(f"characters {source.start}–{source.end}")
    return ", ".join(parts)


def _evaluate(args: argparse.Namespace) -> int:
    from rag import curve
    from rag.calibration import load as load_calibration
    from rag.evaluate import evaluate, report
    from rag.outcomes import table

    settings = _settings(args)
    if args.own is not None:
        return _own(args, settings)
    if args.dialogues is not None:
        return _dialogues(args, settings)
    if args.strategies and args.files:
        return _strategies(args, settings)
    only_own = (args.against, args.store, args.k, args.mode, args.temperature, args.top_p, args.strategy, args.prompts)
    if any(value not in (None, []) for value in only_own) or not args.files:
        raise RagError(
            "Give question files, which take --model, --limit and --seed, or --own PATH, which takes the rest."
        )
    drawn = curve.check(args.curve) if args.curve else None
    results = {}
    for path in args.files:
        calibration = load_calibration(args.calibration)
        results[path.name] = evaluate(
            path,
            model=settings.model,
            limit=args.limit,
            calibration=calibration,
            examples=args.failures,
            seed=settings.seed,
        )
        if not args.json:
            print(report(path.name, results[path.name]), flush=True)
            if args.failures:
                print(f"\n{table(results[path.name]['failures'])}\n", flush=True)
    if drawn:
        curve.write(drawn, results)
    if args.json:
        print(json.dumps(results, ensure_ascii=False))
    return DONE


def _strategies(args: argparse.Namespace, settings: Settings) -> int:
    from rag.strategies.evaluate import compare_strategies, report

    if args.strategy or args.against or args.store or args.curve or args.failures:
        raise RagError("--strategies takes --model, --mode, --temperature, --top-p, --seed, -k and --limit only.")
    found = {path.name: compare_strategies(path, args.strategies, settings, args.limit) for path in args.files}
    shown = "\n".join(report(name, figures) for name, figures in found.items())
    print(json.dumps(found, ensure_ascii=False) if args.json else shown)
    return DONE


def _dialogues(args: argparse.Namespace, settings: Settings) -> int:
    from rag.dialogues import BUNDLED, evaluate_dialogues, report

    found = evaluate_dialogues(args.dialogues or BUNDLED, model=settings.model, limit=args.limit)
    print(json.dumps(found, ensure_ascii=False) if args.json else report(found))
    return DONE


def _own(args: argparse.Namespace, settings: Settings) -> int:
    from rag.own.command import evaluate_own, report

    if args.files or args.curve or args.failures or args.calibration:
        raise RagError("--own makes its own questions: leave files, --curve, --failures and --calibration out.")
    found = evaluate_own(args.own, settings, store=args.store, limit=args.limit, against=args.against)
    print(json.dumps(found, ensure_ascii=False) if args.json else report(found))
    return DONE


def _calibrate(args: argparse.Namespace) -> int:
    from rag.calibrate import calibrate

    summary = calibrate(args.files, args.dev, model=_settings(args).model, limit=args.limit, out=args.out)
    print(json.dumps(summary, ensure_ascii=False) if args.json else json.dumps(summary, indent=1, ensure_ascii=False))
    return DONE


def _tune(args: argparse.Namespace) -> int:
    from rag.tuning.command import run

    return run(_settings(args), args.minutes, undo=args.undo, status=args.status, as_json=args.json)


_COMMANDS = {
    "ask": _ask,
    "search": _search,
    "chat": _chat,
    "evaluate": _evaluate,
    "calibrate": _calibrate,
    "tune": _tune,
}

if __name__ == "__main__":
    sys.exit(main())
