"""Add the part `kind` to an encoder file: its graph stays, its metadata and fingerprint change.

    python tools/add_kind_part.py old.onnx new.onnx --weight .4

The other parts share what the weight leaves as they did before. `osoroi export` does the same to every new encoder.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import onnx

from osoroi import files
from osoroi.encoder import Encoder
from osoroi.encoder.metadata import ENTRY, computation, fingerprint
from osoroi.garments.part import VERSION, with_kind


def main() -> None:
    """Write the new file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--weight", type=float, default=0.4, help="weight of the part")
    arguments = parser.parse_args()
    before = Encoder.open(arguments.old, limit_s=600.0).metadata
    model = onnx.load(arguments.old)
    parts = with_kind(before.graph_parts, arguments.weight)
    digest = fingerprint(computation(arguments.old.read_bytes()), parts, before.preprocessing, VERSION)
    after = replace(before, parts=parts, kinds=VERSION, fingerprint=digest)
    for entry in model.metadata_props:
        if entry.key == ENTRY:
            entry.value = after.to_json()
    files.write_atomically(arguments.new, model.SerializeToString(deterministic=True))
    print(arguments.new, Encoder.open(arguments.new).fingerprint[:12])


if __name__ == "__main__":
    main()
