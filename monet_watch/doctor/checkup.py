"""All checks in turn."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from monet_watch.config import Config, state_folder
from monet_watch.doctor.cluster import check_cluster, look_at_nodes
from monet_watch.doctor.findings import Check, Finding, Premises, fine, wrong
from monet_watch.doctor.machine import (
    check_cards,
    check_devices,
    check_precision,
    check_python,
    check_steps,
    check_torch,
    check_weights,
    measure_steps,
)
from monet_watch.doctor.places import (
    check_inbox,
    check_originals,
    check_outbox,
    check_room,
    check_state,
    check_watch,
)
from monet_watch.doctor.service import check_daemon, check_settings, check_units, run_systemctl
from monet_watch.errors import MonetWatchError, SettingsError
from monet_watch.workers.local import torch_facts

__all__ = ["CHECKS", "examine", "premises_of", "run_checks"]

_OF_THE_MACHINE: tuple[Check, ...] = (check_python, check_torch, check_devices, check_cards, check_precision)

CHECKS: tuple[Check, ...] = (
    *_OF_THE_MACHINE,
    check_weights,
    check_steps,
    check_cluster,
    check_settings,
    check_inbox,
    check_watch,
    check_originals,
    check_outbox,
    check_state,
    check_room,
    check_daemon,
    check_units,
)
"""In the order in which they are told."""


def premises_of(config: Config, environ: Mapping[str, str]) -> Premises:
    """Return what is looked at. Raises SettingsError where the state folder lies in a shared one."""
    return _premises(config, environ, state_folder(config, environ))


def _premises(config: Config, environ: Mapping[str, str], state: Path) -> Premises:
    look_at_torch = cache(partial(torch_facts, config.devices))
    measure = partial(measure_steps, config, environ)
    nodes = partial(look_at_nodes, config, environ)
    return Premises(config, environ, state, look_at_torch, run_systemctl, time.time, measure, nodes)


def examine(read: Callable[[], Config], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what all checks find, one after the other. A config that cannot be used leaves those of the machine."""
    try:
        config = read()
        premises = premises_of(config, environ)
    except SettingsError as error:
        for fault in error.faults or (error.message,):
            yield wrong("config", fault, error.remedy or "Mend it there; config.example.yaml explains every key.")
        yield from run_checks(_OF_THE_MACHINE, _premises(Config(), environ, Path()))  # which look at no folder
        return
    yield fine("config", str(config.source or "none: the built-in values hold"))
    yield from run_checks(CHECKS, premises)


def run_checks(checks: Sequence[Check], premises: Premises) -> Iterator[Finding]:
    """Yield what ``checks`` find; one that cannot look is a finding as well, and the next ones go on."""
    for check in checks:
        try:
            yield from check(premises)
        except MonetWatchError as error:
            yield wrong(_subject(check), error.message, error.remedy)
        except OSError as error:
            yield wrong(_subject(check), f"It cannot be looked at: {error}", "Check the permissions, then look again.")


def _subject(check: Check) -> str:
    return check.__name__.removeprefix("check_")
