"""The process of one decoding worker: it reads tasks from stdin and writes answers to stdout until stdin ends.

A task that takes more processor time than its
budget is ended by the kernel together with the process; one that takes more memory is refused with a BadPhoto.
"""

import contextlib
import math
import os
import signal
import sys
import time
import warnings
from typing import Any

from osoroi.errors import BadPhoto, OsoroiError
from osoroi.image import Limits
from osoroi.server.decoding import read_message, tasks, write_message


def main() -> None:
    """Serve tasks. The memory limit in bytes and the processor time of a task in seconds are the arguments."""
    memory_bytes, cpu_s = int(sys.argv[1]), float(sys.argv[2])
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # meant for the service, which still answers what it began
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _limit_memory(memory_bytes)
    warnings.simplefilter("ignore")
    with contextlib.suppress(EOFError, BrokenPipeError):
        write_message(answers, {"ready": True})
        while True:
            head, photo = read_message(requests)
            _limit_time(cpu_s)
            write_message(answers, *_answer(head, photo, memory_bytes))
            _limit_time(None)


def _answer(head: dict[str, Any], photo: bytes, memory_bytes: int) -> tuple[dict[str, Any], bytes]:
    try:
        values, body = tasks.run(head["task"], photo, head["values"], Limits(**head["limits"]))
    except OsoroiError as error:
        if not isinstance(error.__cause__, MemoryError):
            return {"error": type(error).__name__, "what": error.what, "hint": error.hint}, b""
    except MemoryError:
        pass
    else:
        return values, body
    return {
        "error": BadPhoto.__name__,
        "what": f"the photo of {len(photo):,} bytes takes more than {memory_bytes >> 20:,} MiB of memory to decode",
        "hint": "make the photo smaller",
    }, b""


def _limit_memory(most: int) -> None:
    """Refuse memory beyond ``most`` bytes, where the platform can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _limit_time(most_s: float | None) -> None:
    """Let the kernel end this process ``most_s`` seconds of processor time from now, where the platform can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = hard if most_s is None else math.ceil(time.process_time() + most_s)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    main()
