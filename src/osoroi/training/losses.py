"""Losses: pure functions of the vectors of street rows and shop rows.

Rows are unit vectors, so a squared distance is 2 - 2 cos and lies in [0, 4]. ``street[i]`` and ``shop[j]`` show the
same product where ``same[i, j]``.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from osoroi.records import Part


def triplet(
    anchors: Float[Tensor, "t d"], positives: Float[Tensor, "t d"], negatives: Float[Tensor, "t d"], margin: float
) -> Float[Tensor, ""]:
    r"""Triplet loss: mean hinge of how much nearer the positive is than the negative.

    .. math:: \frac1t \sum_i \max(0,\; m + |a_i-p_i|^2 - |a_i-n_i|^2)

    In [0, m + 4]. Without triplets (t = 0) it is 0 and still has a gradient. Schroff et al. 2015, arXiv:1503.03832.

    >>> a = torch.tensor([[1.0, 0.0]]); p = torch.tensor([[0.6, 0.8]]); n = torch.tensor([[0.0, 1.0]])
    >>> triplet(a, p, n, margin=1.5)  # 1.5 + (0.4² + 0.8²) - (1 + 1)
    tensor(0.3000)
    """
    gap = margin + (anchors - positives).square().sum(1) - (anchors - negatives).square().sum(1)
    return F.relu(gap).sum() / max(len(gap), 1)


def info_nce(
    street: Float[Tensor, "s d"], shop: Float[Tensor, "t d"], same: Bool[Tensor, "s t"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    r"""InfoNCE: the cross entropy of each row's positive among its negatives, in both directions.

    .. math:: -\frac12 \Big[ \frac1{|P|} \sum_{(i,j) \in P}
              \log \frac{e^{\tau s_{ij}}}{e^{\tau s_{ij}} + \sum_{k: \neg same_{ik}} e^{\tau s_{ik}}} + \text{the same
              with the sides changed} \Big]

    P are the pairs of the same product, s their cosines, τ the scale. At least 0; log(1 + negatives) where all cosines
    are equal. Without pairs it is 0. Radford et al. 2021, arXiv:2103.00020, there with one pair a row.

    >>> rows = torch.eye(2)
    >>> info_nce(rows, rows, torch.eye(2, dtype=torch.bool), torch.tensor(1.0))  # log(1 + e⁻¹)
    tensor(0.3133)
    """
    logits = scale * street @ shop.T
    return (_cross_entropy(logits, same) + _cross_entropy(logits.T, same.T)) / 2


def _cross_entropy(logits: Float[Tensor, "s t"], same: Bool[Tensor, "s t"]) -> Float[Tensor, ""]:
    wrong = logits.masked_fill(same, -torch.inf).logsumexp(1, keepdim=True)
    surprise = F.softplus(wrong - logits).masked_fill(~same, 0)  # log(1 + Σ e^wrong / e^right)
    return surprise.sum() / same.sum().clamp(min=1)


def multi_similarity(
    street: Float[Tensor, "s d"],
    shop: Float[Tensor, "t d"],
    same: Bool[Tensor, "s t"],
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
) -> Float[Tensor, ""]:
    r"""Multi-similarity loss: positives below the base and negatives above it, the hardest weighted most.

    .. math:: \frac1s \sum_i \frac1\alpha \log\Big(1 + \sum_{j: same} e^{-\alpha (s_{ij} - \lambda)}\Big)
              + \frac1\beta \log\Big(1 + \sum_{k: \neg same} e^{\beta (s_{ik} - \lambda)}\Big)

    Without rows it is 0. Wang et al. 2019, arXiv:1904.06627, without its miner.

    >>> street = torch.tensor([[1.0, 0.0]]); shop = torch.tensor([[0.6, 0.8], [0.8, 0.6]])
    >>> same = torch.tensor([[True, False]])
    >>> multi_similarity(street, shop, same, alpha=1.0, beta=1.0)  # log(1 + e^-.1) + log(1 + e^.3)
    tensor(1.4988)
    """
    gap = street @ shop.T - base
    right = (-alpha * gap).masked_fill(~same, -torch.inf).logsumexp(1)
    wrong = (beta * gap).masked_fill(same, -torch.inf).logsumexp(1)
    return (F.softplus(right) / alpha + F.softplus(wrong) / beta).sum() / max(len(street), 1)


def relational(student: Float[Tensor, "b d"], teachers: Float[Tensor, "t b b"], scale: float) -> Float[Tensor, ""]:
    r"""Relational distillation: each row's neighbours as the teachers see them, against those of the student.

    .. math:: \frac1b \sum_i \mathrm{KL}\Big(\frac1t \sum_k \operatorname{softmax}_{j \ne i} \tau T^k_{ij} \;\Big\|\;
              \operatorname{softmax}_{j \ne i} \tau S_{ij}\Big)

    T are the cosines of the rows by each teacher, S those of the student, τ is ``scale``. At least 0, and 0 where the
    student has the similarities of its only teacher. With fewer than two rows it is 0. Park et al. 2019,
    arXiv:1904.05068, with the distributions of Fang et al. 2021, arXiv:2101.04731.

    >>> student = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> relational(student, torch.ones(1, 3, 3), 1.0)  # 2/3 of log((1 + e) / 2) - 1/2
    tensor(0.0801)
    """
    if len(student) < 2:
        return 0 * student.sum()
    own = torch.eye(len(student), dtype=torch.bool, device=student.device)
    target = (scale * teachers).masked_fill(own, -torch.inf).softmax(2).mean(0)
    logs = (scale * student @ student.T).masked_fill(own, -torch.inf).log_softmax(1).masked_fill(own, 0)
    return F.kl_div(logs, target, reduction="batchmean").clamp(min=0)


def by_part(
    loss: Callable[[Float[Tensor, "s d"], Float[Tensor, "t d"], int], Float[Tensor, ""]],
    street: Float[Tensor, "s d"],
    shop: Float[Tensor, "t d"],
    parts: Sequence[Part],
    part_loss_weight: float,
) -> Float[Tensor, ""]:
    r"""The loss of the weighted sum of parts, plus that of each part alone.

    .. math:: \ell(\sqrt{w} x) + \alpha \sum_p \ell(x_p)

    Parts are scaled by the roots of their weights on both sides, so the weighted sum has unit length and its inner
    product is the score. The third argument of ``loss`` is the number of the term: 0 for the weighted sum, 1, 2, … for
    the parts. With one part there is that part's loss alone.
    """
    if len(parts) == 1:
        return loss(street, shop, 0)
    sizes = [part.size for part in parts]
    roots = torch.cat([street.new_full((part.size,), part.weight**0.5) for part in parts])
    total = loss(street * roots, shop * roots, 0)
    for term, (one, other) in enumerate(
        zip(torch.split(street, sizes, 1), torch.split(shop, sizes, 1), strict=True), start=1
    ):
        total = total + part_loss_weight * loss(one, other, term)
    return total
