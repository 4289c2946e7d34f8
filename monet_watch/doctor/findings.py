"""What a check finds, what it is given to look at, and how findings are told to people and to programs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from monet_watch.config import Config
from monet_watch.engine.devices import TorchFacts
from monet_watch.printable import printable
from monet_watch.workers.cluster import Connected, NodeFacts

__all__ = ["Check", "Finding", "Premises", "Verdict", "finding_row", "findings_facts", "fine", "note", "wrong"]


class Verdict(StrEnum):
    """NOTE is worth knowing, but keeps nothing from being painted; WRONG is what has to be mended."""

    FINE = "fine"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found of its ``subject``, a word such as ``torch``; ``remedy`` says what to do, where there is."""

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Premises:
    """What is looked at: the house that ``config`` describes, with its ``state`` folder, and the machine it stands on.

    ``torch`` tells of torch and of the config's devices, which takes seconds the first time. ``systemctl`` runs that
    program and returns what it prints, None where there is none, or it fails. ``seconds_per_step`` takes a few steps on
    the device of that name; it raises WeightsError and WorkerError. ``nodes`` does as much on the config's cluster, and
    tells of each of its nodes; it raises the same. ``root`` is where the system's own files lie, and ``now`` gives
    seconds since the epoch.
    """

    config: Config
    environ: Mapping[str, str]
    state: Path
    torch: Callable[[], TorchFacts]
    systemctl: Callable[..., str | None]
    now: Callable[[], float]
    seconds_per_step: Callable[[str], float]
    nodes: Callable[[], Iterable[Connected | NodeFacts]]
    root: Path = Path("/")


Check = Callable[[Premises], Iterable[Finding]]
"""Looks at one thing. What it raises is told as its finding."""


def fine(subject: str, text: str) -> Finding:
    """Return that ``subject`` is as it should be."""
    return Finding(subject, Verdict.FINE, text)


def note(subject: str, text: str, remedy: str = "") -> Finding:
    """Return what is worth knowing of ``subject``."""
    return Finding(subject, Verdict.NOTE, text, remedy)


def wrong(subject: str, text: str, remedy: str) -> Finding:
    """Return what is wrong with ``subject``, and what to do about it."""
    return Finding(subject, Verdict.WRONG, text, remedy)


_STYLES = {Verdict.FINE: "green", Verdict.NOTE: "yellow", Verdict.WRONG: "bold red"}
_SUBJECT_WIDTH = 11


def finding_row(finding: Finding) -> Table:
    """Return what `rich` can print: the verdict, the subject, what was found, and below it what to do."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(width=len(Verdict.WRONG), no_wrap=True)
    table.add_column(width=_SUBJECT_WIDTH, no_wrap=True)
    table.add_column(overflow="fold")
    verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
    table.add_row(verdict, Text(finding.subject, style="bold"), Text(printable(finding.text)))
    if finding.remedy:
        table.add_row("", "", Text(printable(finding.remedy), style="italic"))
    return table


def findings_facts(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return the findings as plain data for JSON: ``fine``, whether nothing is wrong, and a list of ``findings``.

    Each has its ``subject``, ``verdict`` (``fine``, ``note`` or ``wrong``), ``text`` and ``remedy`` (may be empty).
    """
    found = list(findings)
    return {
        "fine": all(each.verdict is not Verdict.WRONG for each in found),
        "findings": [
            {"subject": each.subject, "verdict": each.verdict.value, "text": each.text, "remedy": each.remedy}
            for each in found
        ],
    }
