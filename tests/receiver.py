"""A web server on this machine that remembers what it was sent, as a service for messages does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Receiver", "receiver"]


class Receiver:
    """``received`` holds the JSON of each message that was taken; with ``refuses`` none is, and ``refused`` counts."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.refuses = False
        self.refused = 0
        self.address = ""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Receive what is sent to ``address``, written as apprise does."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            found.refused += found.refuses
            if not found.refuses:
                found.received.append(json.loads(data))
            self.send_response(503 if found.refuses else 200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.address = f"json://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
