"""What a vector database loses that is given our vectors: products found by its graph, beside ours.

The graph is faiss's HNSW with the links and efforts that Qdrant, Milvus and OpenSearch take where nobody says otherwise
(16 links, 100 while it is built); Milvus and OpenSearch run this very code, or one like it. The vectors are those of
``benchmarks.million.embed``, two of them a product, and the queries its street photos, weighted by the encoder and by
the slider. A product counts as found where it is among the right ten, which a comparison with everything tells.
A filter is applied while the graph is walked, or afterwards.

    python benchmarks/engines.py REAL.npz --queries 500
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np

from osoroi.encoder.slider import shifted

K = 10
LINKS, BUILD, EFFORT = 16, 100, 100
FETCHED = 4
"""Vectors that are fetched for each product wanted, at first; four times as many each time they are of too few."""
NAMES = ("deep", "detail", "kind")


class Answer(NamedTuple):
    """Products of a query, and the seconds of CPU it took."""

    products: list[int]
    cpu_s: float


def graph_of(vectors: np.ndarray) -> faiss.IndexHNSWFlat:
    """HNSW by inner product."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD
    index.add(vectors)
    return index


def answer(index: faiss.Index, query: np.ndarray, allowed: np.ndarray | None, *, inside: bool, again: bool) -> Answer:
    """The best K products of what the graph gives. Vector 2n and 2n + 1 are of product n.

    ``inside`` applies the filter while the graph is walked; ``again`` fetches more until there are K products.
    """
    began = time.process_time()
    width = FETCHED * K if again else K
    selector = None
    if allowed is not None and inside:
        selector = faiss.IDSelectorBatch(np.flatnonzero(allowed))
    while True:
        parameters = faiss.SearchParametersHNSW(efSearch=max(EFFORT, width), sel=selector)  # type: ignore[attr-defined]
        _, rows = index.search(query[None], width, params=parameters)
        rows = rows[0][rows[0] >= 0]
        full = len(rows) == width
        if allowed is not None and not inside:
            rows = rows[allowed[rows]]
        products = list(dict.fromkeys((rows // 2).tolist()))[:K]
        if len(products) == K or not full or not again or width >= index.ntotal:
            return Answer(products, time.process_time() - began)
        width = min(4 * width, index.ntotal)


def right(scores: np.ndarray, allowed: np.ndarray | None) -> list[int]:
    """The best K products by all scores."""
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    best = scores.reshape(-1, 2).max(1)
    order = np.argsort(-best, kind="stable")[:K]
    return order[np.isfinite(best[order])].tolist()


def ways() -> Iterator[tuple[str, bool, bool]]:
    """Names, and whether the filter is inside and more is fetched."""
    yield "10 vectors, filter afterwards", False, False
    yield "over-fetch, filter afterwards", False, True
    yield "10 vectors, filter inside", True, False
    yield "over-fetch, filter inside", True, True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--queries", type=int, default=500)
    chosen = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with np.load(chosen.real) as real:
        shop, street, sizes = np.unique(real["shop"], axis=0), real["street"], real["parts"].tolist()
        weights = dict(zip(NAMES, real["weights"].tolist(), strict=False))
    rng = np.random.default_rng(0)
    shop = np.ascontiguousarray(shop[rng.permutation(len(shop))[: len(shop) // 2 * 2]], np.float32)
    street = street[rng.permutation(len(street))[: chosen.queries]]
    index = graph_of(shop)
    share = np.repeat(rng.random(len(shop) // 2), 2)
    filters = {"none": None, "a tenth": share < 0.1, "a hundredth": share < 0.01}
    print(f"{len(shop) // 2} products with two vectors of {shop.shape[1]} numbers, {len(street)} queries", flush=True)
    print("| weights | filter | way | recall@10 | fewer than asked | CPU, ms |\n|---|---|---|---:|---:|---:|")
    for name, detail in (("the encoder's", None), ("slider 0", 0.0), ("slider 1", 1.0)):
        turned = weights if detail is None else shifted(weights, detail)
        queries = (street * np.repeat(list(turned.values()), sizes)).astype(np.float32)
        exact = queries @ shop.T
        for filter_, allowed in filters.items():
            wanted = [right(scores, allowed) for scores in exact]
            for way, inside, again in ways():
                if allowed is None and inside:
                    continue
                answers = [answer(index, query, allowed, inside=inside, again=again) for query in queries]
                found = [len({*one.products} & {*best}) / len(best) for one, best in zip(answers, wanted, strict=True)]
                short = np.mean([len(one.products) < len(best) for one, best in zip(answers, wanted, strict=True)])
                cpu_ms = 1000 * np.mean([one.cpu_s for one in answers])
                cells = [name, filter_, way, f"{np.mean(found):.3f}", f"{short:.0%}", f"{cpu_ms:.1f}"]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
