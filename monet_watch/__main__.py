"""``python -m monet_watch``."""

from monet_watch.cli import main

if __name__ == "__main__":
    main()
