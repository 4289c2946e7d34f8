"""What people at a terminal see, and the lines in the journal.

Three ways to be told the same story: a live view, plain lines, and JSON lines. None of them ever raises or holds up
the daemon because whoever reads has gone. File names come from strangers: whatever is shown went through `printable`,
and no text is ever read as markup.
"""

from monet_watch.console.choice import is_journal, open_console, open_live
from monet_watch.console.facts import overview_json
from monet_watch.console.lines import JsonConsole, PlainConsole, divert
from monet_watch.console.live import LiveConsole
from monet_watch.console.overview import render_overview
from monet_watch.console.unrepeated import Unrepeated
from monet_watch.console.view import ConsoleKind, ConsoleView

__all__ = [
    "ConsoleKind",
    "ConsoleView",
    "JsonConsole",
    "LiveConsole",
    "PlainConsole",
    "Unrepeated",
    "divert",
    "is_journal",
    "open_console",
    "open_live",
    "overview_json",
    "render_overview",
]
