"""The program, with a way for a test to hang its loop: SIGUSR1 keeps the main thread, which turns it, for ever."""

import signal
import threading

from monet_watch.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait())
    main()
