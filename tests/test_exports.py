"""What a module says it exports is what it exports, and light modules stay light."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import monet_watch

ROOT = Path(monet_watch.__file__).parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "monet_watch.")
    if not module.ispkg and not module.name.endswith("__main__")
)


def public_definitions(name):
    """The public functions and classes that a module defines at its top level, read without importing it.

    What a decorator registers (``@app.command()``) is reached through the registry, not by its name.
    """
    tree = ast.parse(ROOT.parent.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    nodes = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    return {node.name for node in nodes if not any("app." in ast.unparse(d) for d in node.decorator_list)}


@pytest.mark.parametrize("name", MODULES)
def test_the_list_of_a_module_s_public_names_is_true(name):
    module = importlib.import_module(name)

    assert sorted(set(module.__all__)) == sorted(module.__all__), "a name is listed twice"
    assert [exported for exported in module.__all__ if not hasattr(module, exported)] == []
    assert public_definitions(name) - set(module.__all__) == set()


def test_every_public_name_of_the_library_is_there():
    for name in monet_watch.__all__:
        assert getattr(monet_watch, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'picasso'"):
        _ = monet_watch.picasso


def test_the_whole_error_tree_is_exported_by_the_library():
    from monet_watch import errors

    assert set(errors.__all__) <= set(monet_watch.__all__)
    assert all(issubclass(getattr(errors, name), monet_watch.MonetWatchError) for name in errors.__all__)


# Whatever the daemon and the command line use; torch belongs into the worker's process and into the engine.
LIGHT = [
    name
    for name in MODULES
    if not name.startswith("monet_watch.engine.")
    and name.removeprefix("monet_watch.workers.") not in ("worker", "ray_driver", "ray_faults", "ray_nodes")
] + ["monet_watch.engine.events", "monet_watch.engine.devices", "monet_watch.engine.levels"]


def test_nothing_but_the_engine_and_the_worker_s_inside_imports_torch_and_nothing_an_extra():
    """Each light module is imported in turn, in one fresh interpreter."""
    program = (
        "import importlib, sys\n"
        f"for name in {['monet_watch', *LIGHT]!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'ray', 'apprise', 'prometheus_client'} & set(sys.modules), name\n"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT.parent, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
