"""The arrows between the rooms do not turn round: read from the imports themselves."""

import ast
from pathlib import Path

import pytest

import monet_watch

ROOT = Path(monet_watch.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def imports_of(path):
    """The dotted names of everything that a file imports at run time, at its top or within a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    return names_in(ast.walk(tree), path)


def names_in(nodes, path):
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(room):
    files = [path for path in FILES if path.relative_to(ROOT).parts[0].removesuffix(".py") == room]
    assert files
    return files


def own_imports(room):
    """The modules of this program that a room imports, as (file, dotted name) pairs, without those of the room."""
    return {
        (path.relative_to(ROOT).as_posix(), name)
        for path in files_of(room)
        for name in imports_of(path)
        if name.startswith("monet_watch") and not name.startswith(f"monet_watch.{room}.")
    }


def belongs(name, module):
    return name == module or name.startswith(f"{module}.")


def test_the_engine_knows_the_recipes_and_the_errors_and_nothing_else():
    allowed = ("monet_watch.recipes", "monet_watch.errors")

    assert {pair for pair in own_imports("engine") if not any(belongs(pair[1], module) for module in allowed)} == set()


@pytest.mark.parametrize("room", ["outbox", "inbox", "ledger"])
def test_outbox_inbox_and_ledger_do_not_know_each_other(room):
    others = {"outbox", "inbox", "ledger"} - {room}

    assert {pair for pair in own_imports(room) if any(belongs(pair[1], f"monet_watch.{o}") for o in others)} == set()


@pytest.mark.parametrize("room", ["engine", "outbox", "inbox", "ledger", "workers"])
def test_no_room_knows_the_daemon_or_the_command_line(room):
    forbidden = ("monet_watch.daemon", "monet_watch.cli", "monet_watch.console")

    assert {pair for pair in own_imports(room) if any(belongs(pair[1], module) for module in forbidden)} == set()


def test_torch_is_imported_by_the_engine_and_inside_a_worker_only():
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if any(name.partition(".")[0] in ("torch", "torchvision", "safetensors") for name in imports_of(path))
    }

    assert {name for name in importers if not name.startswith("engine/")} == {"workers/worker.py"}


PLOTS = {f"outbox/{each}.py" for each in ("plot", "contact_sheet", "lettering")}


def test_matplotlib_is_imported_where_something_is_plotted_and_not_before():
    """A worker is ready half a second sooner without; whoever plots does it in a function."""
    modules = ["matplotlib", *(f"monet_watch.{name.removesuffix('.py').replace('/', '.')}" for name in PLOTS)]
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        for name in names_in(ast.parse(path.read_text(encoding="utf-8")).body, path)
        if any(belongs(name, module) for module in modules)
    }

    assert importers == PLOTS


def test_photos_are_decoded_inside_a_worker_only():
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if any(belongs(name, "monet_watch.engine.photo.decode") for name in imports_of(path))
    }

    assert importers == {"workers/worker.py", "workers/decoder.py"}


def test_ray_is_imported_by_the_process_that_drives_a_cluster_alone():
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if any(name.partition(".")[0] == "ray" for name in imports_of(path))
    }

    assert importers == {"workers/ray_driver.py", "workers/ray_faults.py", "workers/ray_nodes.py"}


DRIVES_A_CLUSTER = ("ray_driver", "ray_faults", "ray_nodes")


def test_nobody_but_that_process_imports_what_drives_a_cluster():
    """Within a function counts as well: who starts that process does it in the new one."""
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if any(belongs(name, f"monet_watch.workers.{each}") for name in imports_of(path) for each in DRIVES_A_CLUSTER)
    }

    starters = {"workers/ray.py", "workers/nodes.py", "workers/ray_entry.py"}
    assert importers == starters | {"workers/ray_driver.py", "workers/ray_nodes.py"}
