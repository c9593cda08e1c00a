"""Progress on stderr, for what takes longer than two seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

PATIENCE_S = 2.0
"""Nothing is shown before that, and nothing at all where stderr is no terminal."""

OFTEN_S = 5.0
"""Between two lines, where a log is written rather than a bar drawn."""


@contextmanager
def counting(noun: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes the number done so far."""
    columns = (SpinnerColumn(), TextColumn(noun), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(noun, total=total)
    start = time.monotonic()

    def show(done: int) -> None:
        bar.update(task, completed=done)
        if not bar.live.is_started and time.monotonic() - start > PATIENCE_S:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()
