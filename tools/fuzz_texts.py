"""Targets of ``fuzz.py`` that read what a person has written or a tool has kept: settings, keys, plans, vectors."""

import contextlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from fuzz_surfaces import shop, tiny
from fuzz_targets import Target

from osoroi import precomputed, recipes
from osoroi.data.readers.table_recipe import read_recipe
from osoroi.errors import OsoroiError
from osoroi.evaluation import evaluate, results
from osoroi.experiment import plan
from osoroi.pretrained.settings import from_toml
from osoroi.server import configuration, keyring

ROOT: Final = Path(__file__).parents[1]
MEANING: Final = [
    b"nan",
    b"inf",
    b"-1",
    b"1e400",
    b"9" * 30,
    b"true",
    b"[]",
    b"[[",
    b"{",
    b'"',
    b"null",
    b"\xef\xbb\xbf",
]
DATES: Final = [b"1979-05-27T00:00:00Z", b"07:32:00"]


def of_file(corpus: Sequence[bytes], read: Callable[[Path], object], suffix: str = ".toml") -> Target:
    """A target that reads one file of a name of its own."""
    path = Path(tempfile.mkdtemp(prefix="osoroi-fuzz-")) / f"file{suffix}"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return Target(corpus, [*MEANING, *DATES], run)


def keys() -> Target:
    """Files of keys, written again."""
    folder = Path(tempfile.mkdtemp(prefix="osoroi-fuzz-"))
    with contextlib.suppress(OsoroiError):
        made = [keyring.create(f"key{n}", ("search", "metrics"), days=n or None)[1] for n in range(3)]
        keyring.write(folder / "keys.toml", made)
    corpus = [(folder / "keys.toml").read_bytes()]
    return of_file(corpus, lambda path: keyring.write(folder / "again.toml", keyring.read(path)))


def limits() -> Target:
    """The settings of a service."""
    corpus = [(ROOT / "deploy/settings.toml").read_bytes().replace(b"# ", b"")]
    return of_file(corpus, lambda path: configuration.Sources("127.0.0.1", settings_file=path).load().places)


def table_recipes() -> Target:
    """Recipes of tables: which column is what."""
    corpus = [path.read_bytes() for path in sorted((ROOT / "src/osoroi/data/readers/recipes").glob("*.toml"))]
    return of_file(corpus, lambda path: read_recipe(str(path)))


def backbones() -> Target:
    """Settings of a backbone."""
    text = b'height = 224\nwidth = 224\nresize = "stretch"\nto = [224, 224]\nresample = "bilinear"\nfill = [0, 0, 0]\n'
    text += b'placement = "center"\nscale = 255\nmean = [0.5]\nstd = [0.5, 1, 1e-3]\nbgr = false\npool = "mean"\n'
    return of_file([text], from_toml)


def plans() -> Target:
    """Plans of experiments."""
    return of_file([path.read_bytes() for path in sorted((ROOT / "benchmarks/experiment").glob("*.toml"))], plan.read)


def trainings() -> Target:
    """Settings of a training, as they are written behind ``--set``."""

    def read(path: Path) -> None:
        recipes.named("finetune", dict([recipes.changed(path.read_text("utf-8", "replace"))]))

    return of_file([b"lr=1e-4", b"epochs=3", b"weights=deep:.4,detail:.6", b"refit=yes"], read)


def evaluations() -> Target:
    """Files of ``osoroi evaluate --json``."""
    path = Path(tempfile.mkdtemp(prefix="osoroi-fuzz-")) / "drawn.json"
    results.save(evaluate.run(results.Task("drawn:3")), path)
    return of_file([path.read_bytes()], results.read, ".json")


def archive(**arrays: Any) -> bytes:
    """An archive of NumPy."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def array(values: Any) -> bytes:
    """A file of one array."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def vectors() -> Target:
    """Ready-made vectors, loaded into a catalog. The first byte says what the rest is: an archive, a Parquet file, one
    array of an archive that is otherwise right, or rows as JSON."""
    import pyarrow
    from pyarrow import parquet

    encoder = tiny()
    folder = Path(tempfile.mkdtemp(prefix="osoroi-fuzz-"))
    catalog = shop(folder / "shop", encoder)
    rows = np.concatenate([encoder.encode([np.full((4, 2, 3), 50 * n, np.uint8)]) for n in range(3)])
    sound: dict[str, Any] = {
        "ids": np.array(["p1", "q", "q"]),
        "vectors": rows,
        "fingerprint": np.array(encoder.fingerprint),
        "price": np.array([1.5, 2, 2]),
        "sale": np.array([True, False, False]),
        "attributes": np.array(['{"n": 3, "sizes": ["S"]}', "", ""]),
    }
    columns = [{name: values[n].tolist() for name, values in sound.items() if values.ndim} for n in range(3)]
    for row in columns:
        row["fingerprint"] = encoder.fingerprint
    table = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(columns), table)
    names = {b"v": "vectors", b"i": "ids", b"c": "price", b"a": "attributes", b"f": "fingerprint"}

    def written(data: bytes) -> Path | None:
        kind, content = data[:1], data[1:]
        path = folder / ("v.parquet" if kind in b"pj" else "v.npz")
        if kind == b"j":
            try:
                lines = [json.loads(line) for line in content.splitlines()]
                parquet.write_table(pyarrow.Table.from_pylist(lines), path)
            except Exception:  # noqa: BLE001  whatever pyarrow does not write is none of our files
                return None
        elif kind in names:
            plain = {name: array(values) for name, values in sound.items()}
            with zipfile.ZipFile(path, "w") as file:
                for name, whole in (plain | {names[kind]: content}).items():
                    file.writestr(f"{name}.npy", whole)
        else:
            path.write_bytes(content)
        return path

    def run(data: bytes) -> None:
        path = written(data)
        if path is not None:
            precomputed.load(precomputed.read(path), catalog, encoder, name="file")

    corpus = [b"n" + archive(**sound), b"p" + table.getvalue()]
    corpus += [kind + array(sound[name]) for kind, name in names.items()]
    corpus += [b"j" + b"\n".join(json.dumps(row).encode() for row in columns)]
    return Target(corpus, [*MEANING, b"'descr': '<f8'", b"(3, ", b"'|O'", b"True", b"attributes", b"photo", b"\0"], run)


TEXTS: Final[dict[str, Callable[[], Target]]] = {
    "keys": keys,
    "limits": limits,
    "table_recipes": table_recipes,
    "backbones": backbones,
    "plans": plans,
    "trainings": trainings,
    "evaluations": evaluations,
    "vectors": vectors,
}
