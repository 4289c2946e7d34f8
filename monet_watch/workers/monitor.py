"""What is known of a worker from what it was told and what it has said: its health, and what it can do."""

from monet_watch.workers.base import (
    Capabilities,
    Health,
    JobFailed,
    JobFinished,
    JobStarted,
    JobStep,
    JobStopped,
    WorkerDied,
    WorkerEvent,
    WorkerReady,
)

__all__ = ["Monitor"]


class Monitor:
    """Watches one worker. Whoever posts its events shows them first; the answers may be asked for from any thread."""

    def __init__(self) -> None:
        self._health = Health.UNSTARTED
        self._capabilities: Capabilities | None = None
        self._pixels = 0

    @property
    def health(self) -> Health:
        """How the worker is."""
        return self._health

    @property
    def capabilities(self) -> Capabilities | None:
        """What it can do; None before it has said so."""
        return self._capabilities

    def started(self) -> None:
        """It loads the network."""
        self._health = Health.LOADING

    def offered(self) -> None:
        """It was given a job."""
        if self._health is not Health.ENDED:
            self._health = Health.PAINTING

    def ended(self) -> None:
        """It is gone, or told to go."""
        self._health = Health.ENDED

    def heard(self, event: WorkerEvent) -> None:
        """It has said ``event``."""
        match event:
            case WorkerReady():
                self._health, self._capabilities = Health.IDLE, Capabilities.of(event)
            case JobStarted():
                self._pixels = event.width * event.height
            case JobStep() if self._capabilities is not None and self._pixels:
                self._capabilities = self._capabilities.measured(self._pixels, event.seconds)
            case JobFinished() | JobFailed() | JobStopped():
                self._health = Health.IDLE
            case WorkerDied():
                self._health = Health.ENDED
