"""Where the time of an encoder goes: by operator, and beside its bare backbone in the same runtime, taking turns.

Each part takes turns with the bare backbone alone, as a service runs one encoder: where five sessions take turns, each
finds less of its own in the caches, all are slower (the bare backbone 6.4 ms in place of 6.0), and ratios .02 higher.

    python -m benchmarks.operators [ENCODER] [--rounds 60]

CPU milliseconds of one thread, one crop, median. `vectors` is what `Encoder.open` runs, `as stored` the graph of the
file, which differs where the package has a faster one (``encoder.faster``). `with kinds` is what a query takes whose
picture has to tell its kind, `of a product` the same for a product. The bare backbone is the graph that runs, cut
behind the backbone's last map.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnx.utils
import onnxruntime as ort
from benchmarks.query import medians

from osoroi.encoder import DEFAULT, Encoder, open_session
from osoroi.encoder.faster import faster
from osoroi.records import Clues

BACKBONE = "network.extractor.backbone."
"""What the names of a backbone's weights begin with in a file that `osoroi export` wrote."""


def bare(stored: bytes) -> bytes:
    """The graph up to the last map of the backbone."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(stored))
    last = [node for node in model.graph.node if any(name.startswith(BACKBONE) for name in node.input)][-1].output[0]
    for node in model.graph.node:
        if node.op_type in ("Clip", "Relu") and node.input[0] == last:
            last = node.output[0]
    cut: bytes = onnx.utils.Extractor(model).extract_model(["crops"], [last]).SerializeToString()
    return cut


def by_operator(model: bytes, crop: np.ndarray, rounds: int) -> dict[str, tuple[int, float]]:
    """Operator -> how often it stands in the optimized graph, and its microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.enable_profiling = 1, True
        options.profile_file_prefix = f"{folder}/profile"
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for _ in range(rounds):
            session.run(["vectors"], {"crops": crop})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times.setdefault((event["args"]["op_name"], event["name"]), []).append(event["dur"])
    count, total = Counter(operator for operator, _ in times), dict.fromkeys((operator for operator, _ in times), 0.0)
    for (operator, _), found in times.items():
        total[operator] += median(found)
    return {operator: (count[operator], total[operator]) for operator in sorted(total, key=lambda name: -total[name])}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("encoder", type=Path, nargs="?", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    encoder, stored = Encoder.open(arguments.encoder), arguments.encoder.read_bytes()
    model = faster(stored, encoder.fingerprint) or stored
    backbone, before = open_session(bare(model), threads=1), open_session(stored, threads=1)
    shape = encoder.preprocessing["street"].shape
    crop = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
    parts: dict[str, Callable[[], object]] = {
        "as stored": lambda: before.run(["vectors"], {"crops": crop}),
        "vectors": lambda: encoder.embedder.vectors(crop),
        "with kinds": lambda: encoder.encode(list(crop), [Clues(is_query=True)]),
        "of a product": lambda: encoder.encode(list(crop)),
    }
    for name, run in parts.items():
        pair = {"bare backbone": lambda: backbone.run(None, {"crops": crop}), name: run}
        bare_ms, ms = medians(pair, arguments.rounds).values()
        print(f"{name:14} {ms:6.2f} ms  {ms / bare_ms:.3f} of {bare_ms:.2f} ms, the bare backbone")
    for operator, (count, us) in by_operator(model, crop, arguments.rounds).items():
        print(f"{operator:18} {count:4} {us:8.0f} us")


if __name__ == "__main__":
    main()
