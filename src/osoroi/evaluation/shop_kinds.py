"""What the gallery of an evaluation teaches of kinds, as the products of a catalog do after ``osoroi add``.

Categories that no dictionary knows get the kind that the photos of their products have together, and queries of which
nothing but a picture speaks are judged by the looks of products whose kind the shop says (``garments.learned``).
Categories that photos contradict as a whole are not believed.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float32

from osoroi import categories
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.learned import SAMPLE, learn_kinds, with_learned_kind
from osoroi.evaluation.queries import EvaluationSet
from osoroi.evaluation.ranking import Gallery
from osoroi.garments import learned
from osoroi.garments.kinds import NAMES
from osoroi.records import Clues


def are_believed(gallery: Gallery, encoder: Encoder, evaluation_set: EvaluationSet) -> bool:
    """Whether a catalog of these products would believe their categories; see ``categories.review``."""
    kinds = [evaluation_set.labels[key].kind for key in gallery.keys.tolist()]
    known = np.flatnonzero([kind is not None for kind in kinds])
    known = known[:: -(-len(known) // learned.ENOUGH) or 1]
    if not len(known):
        return True
    looks = np.asarray(gallery.vectors[gallery.order[gallery.starts[known]], : encoder.columns[KIND].start])
    judgement = categories.judged(looks, np.array([NAMES.index(kinds[number] or "") for number in known]))
    return judgement is None or categories.is_believed(judgement.share, judgement.chance)


def replace_vectors(gallery: Gallery, batches: Iterable[tuple[list[int], Float32[np.ndarray, "n d"]]]) -> None:
    """Other vectors of all crops, in the order in which they were appended."""
    start = 0
    for _, vectors in batches:
        gallery.vectors[start : start + len(vectors)] = vectors
        start += len(vectors)


def learn_words(gallery: Gallery, encoder: Encoder, evaluation_set: EvaluationSet) -> dict[str, str]:
    """Write the kinds of categories that no dictionary knows into the vectors of their products; category -> kind."""
    products: dict[str, list[int]] = {}
    for number, key in enumerate(gallery.keys.tolist()):
        category = evaluation_set.categories[key]
        if category and evaluation_set.labels[key].kind is None:
            products.setdefault(category, []).append(number)
    readings = {}
    for category, numbers in products.items():
        some = numbers[:: -(-len(numbers) // learned.ENOUGH)]
        first = gallery.order[gallery.starts[some]]
        kind = learned.kind_of_word(np.asarray(gallery.vectors[first, encoder.columns[KIND]]))
        if kind is not None:
            readings[category] = kind
            crops = np.concatenate([gallery.order[gallery.starts[n] : gallery.starts[n + 1]] for n in numbers])
            gallery.vectors[crops] = encoder.with_kind(np.asarray(gallery.vectors[crops]), Clues(known={kind: 1.0}))
    return readings


def taught(
    gallery: Gallery, encoder: Encoder, queries: Float32[np.ndarray, "q d"], alone: Sequence[int]
) -> Float32[np.ndarray, "q d"]:
    """The queries, of which those at ``alone`` have no clue of their kind but the picture, as a search judges them."""
    crops = gallery.order[:: -(-len(gallery.order) // SAMPLE) or 1]
    classifier = learn_kinds(encoder, np.asarray(gallery.vectors[crops])) if alone else None
    if classifier is None:
        return queries
    changed = queries.copy()
    changed[alone] = with_learned_kind(encoder, queries[alone], classifier)
    return changed
