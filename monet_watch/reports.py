"""Everybody who reports on what is painted, beside the console and the gallery.

They live as long as the process, also while one config takes another's place, so that nothing they do is cut short by
that; each reads what it may do from the `Office`.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from monet_watch.after_painting import AfterPainting
from monet_watch.clerk import Office
from monet_watch.config import Config
from monet_watch.contact_sheets import ContactSheets
from monet_watch.errors import SettingsError
from monet_watch.messages import Messages, faults_of_addresses
from monet_watch.metrics import Metrics, faults_of_metrics
from monet_watch.notices import Notice

__all__ = ["Report", "Reports", "require_reports"]

_AT_A_STOP_SECONDS, _AFTER_ALL_SECONDS = 0.5, 3600.0  # the former twice: all must end within ten seconds
_LOOK_SECONDS = 0.05


def require_reports(config: Config) -> None:
    """Raise SettingsError where what the config asks for beside paintings cannot be had on this machine."""
    faults = list(_faults(config))
    if faults:
        raise SettingsError(faults[0], faults=tuple(faults))


def _faults(config: Config) -> Iterator[str]:
    place = f"{config.source}: " if config.source else ""
    if config.after_painting and shutil.which(config.after_painting[0]) is None:
        program = config.after_painting[0]
        yield f"{place}after_painting: there is no program {program}; name one that is installed, or its path"
    faults = (*faults_of_addresses(config.notify.urls), *faults_of_metrics(config.metrics_file))
    yield from (place + fault for fault in faults)


class Report(Protocol):
    """One who reports. Its methods are called by the loop, which none of them holds up."""

    def heard(self, notice: Notice) -> None:
        """The daemon told something."""

    def end(self) -> None:
        """Begin nothing any more, but what belongs to a run that was to paint once all that is there."""

    @property
    def ended(self) -> bool:
        """Whether everything is done."""

    def give_up(self) -> None:
        """Leave what is not done: nobody waits any longer."""


class Reports:
    """Everybody who reports, while the context lasts.

    At its end nobody turns the loop any more. ``pass_on`` then tells what is left in the mailbox, and returns whether
    somebody wants the process to stop.
    """

    def __init__(self, office: Office, state: Path, environ: Mapping[str, str], pass_on: Callable[[], bool]) -> None:
        self._office = office
        self._pass_on = pass_on
        self._is_finished = False
        self._after_painting = AfterPainting(office, state, environ)
        self._metrics = Metrics(office)
        self._reports: tuple[Report, ...] = (
            ContactSheets(office),
            self._after_painting,
            Messages(office),
            self._metrics,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish(self._pass_on, self._office.once and kind is None)

    def finish(self, pass_on: Callable[[], bool]) -> None:
        """Come to the end, by way of another ``pass_on``, whose listeners may be gone when the context ends."""
        self._finish(pass_on, self._office.once)

    def _finish(self, pass_on: Callable[[], bool], with_patience: bool) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        for report in self._reports:
            report.end()
        self._wait(_AFTER_ALL_SECONDS if with_patience else _AT_A_STOP_SECONDS, pass_on)
        for report in self._reports:
            report.give_up()
        self._wait(_AT_A_STOP_SECONDS, pass_on)

    def _wait(self, patience_seconds: float, pass_on: Callable[[], bool]) -> None:
        deadline = time.monotonic() + patience_seconds
        while not all(report.ended for report in self._reports):
            if pass_on() or time.monotonic() >= deadline:
                break
            time.sleep(_LOOK_SECONDS)
        pass_on()

    def heard(self, notice: Notice) -> None:
        """The daemon told something."""
        if notice.event == "stopping":
            self._office.once = False  # whoever stops it does not want to wait
        for report in self._reports:
            report.heard(notice)

    def take_over(self, config: Config) -> None:
        """Another config holds from now on."""
        self._office.config = config
        self._after_painting.take_over()
        self._metrics.take_over()
