"""Where a network runs."""

import torch

from osoroi.errors import BadRequest


def device(name: str | None = None) -> torch.device:
    """The device of a name such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; without one, a GPU where there is one.

    Raises BadRequest for a device that is not there.

    >>> device("cpu")
    device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise BadRequest(f"there is no device {name!r} ({reason:.100})", hint="try cpu, cuda, cuda:1 or mps") from error
    return chosen
