"""How good a recipe's pictures are: the delivered loss against the plain script's, for every photo and style.

    python -m benchmarks.delivered [--size 256] [--recipe swift] [--style monet.jpg] [--plain-from earlier.json]

The delivered loss is that of the 8-bit file, judged by the reference in fp32.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import Album, Contender, Limits, Painted, Plain, parse_recipe, race
from benchmarks.machine import add_common_options, describe_machine, write_json
from benchmarks.pictures import PHOTOS, Pair, add_style_option, all_pairs, style_files
from benchmarks.plain import Judge

__all__ = ["main"]

_NO_END = 10**9


def _result(contender: Contender, pair: Pair, judge: Judge, options: argparse.Namespace) -> dict[str, Any]:
    """Return what ``contender`` delivers, after how many steps and seconds, as plain data."""
    with tempfile.TemporaryDirectory(dir=options.output) as folder:
        album = Album(Path(folder) / "album", options.size)
        run = race(contender, pair, Limits(_NO_END), album.path, options.weights, options.threads)
        assert run.end is not None
        delivered = judge(album.picture(len(run.seconds)))
    return {
        "delivered": delivered,
        "steps": len(run.seconds),
        "seconds": run.end.seconds,
        "reason": run.end.reason,
        "precision": run.end.precision,
        "remarks": run.end.remarks,
    }


def _compared(pair: Pair, plain: Mapping[str, Any] | None, options: argparse.Namespace) -> dict[str, Any]:
    name, recipe = parse_recipe(options.recipe)
    contender = Painted(name, recipe)
    with Judge(pair, options.weights, options.threads) as judge:
        found = _result(contender, pair, judge, options)
        plain = plain or _result(Plain("plain script", 0.03, options.steps), pair, judge, options)
    ratio = found["delivered"] / plain["delivered"]
    print(f"{pair.name}: {found['delivered']:.2f} after {found['steps']} steps, {ratio:.3f} of plain", flush=True)
    return {"pair": pair.name, "plain": plain, "recipe": found, "ratio": ratio}


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the plain script's result depends on, beside the pair."""
    return {"size": options.size, "steps": options.steps, "weights": options.weights}


def _known_plain(options: argparse.Namespace) -> dict[str, Mapping[str, Any]]:
    """The plain script's results of an earlier run, by pair."""
    if options.plain_from is None:
        return {}
    found = json.loads(options.plain_from.read_text(encoding="utf-8"))
    if found["settings"] != _settings(options):
        raise SystemExit(f"{options.plain_from} was made with other settings: {found['settings']}.")
    return {each["pair"]: each["plain"] for each in found["pairs"]}


def _show(results: Mapping[str, Any]) -> None:
    table = Table(title=f"Delivered losses at {results['settings']['size']}², {results['recipe']}, worst first")
    table.add_column("pair")
    for column in ("plain", results["recipe"], "ratio", "steps", "seconds", "plain's seconds"):
        table.add_column(column, justify="right")
    for each in sorted(results["pairs"], key=lambda each: each["ratio"], reverse=True):
        plain, found = each["plain"], each["recipe"]
        losses = (f"{plain['delivered']:.2f}", f"{found['delivered']:.2f}", f"{each['ratio']:.3f}")
        seconds = (f"{found['seconds']:.1f}", f"{plain['seconds']:.1f}")
        table.add_row(each["pair"], *losses, str(found["steps"]), *seconds)
    Console(width=120).print(table)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="pixels of a picture's sides (%(default)s)")
    parser.add_argument("--recipe", default="swift", help="NAME, or NAME:setting=value,... (%(default)s)")
    parser.add_argument("--photos", nargs="+", default=list(PHOTOS), help="names or paths (%(default)s)")
    parser.add_argument("--steps", type=int, default=400, help="steps of the plain script (%(default)s)")
    parser.add_argument("--plain-from", type=Path, metavar="JSON", help="an earlier run's file, for the plain script")
    add_style_option(parser)
    add_common_options(parser, "benchmarks/results/delivered")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare pair by pair; the results so far are on disk after each."""
    options = _parsed(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    known = _known_plain(options)
    machine = describe_machine(options.threads)
    results: dict[str, Any] = {
        "machine": machine,
        "settings": _settings(options),
        "recipe": options.recipe,
        "pairs": [],
    }
    for pair in all_pairs(options.photos, style_files(options.style), options.size):
        results["pairs"].append(_compared(pair, known.get(pair.name), options))
        write_json(options.output / "delivered.json", results)
    _show(results)


if __name__ == "__main__":
    main()
