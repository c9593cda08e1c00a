"""``osoroi calibrate``: probabilities for the hits of an encoder."""

from dataclasses import asdict
from pathlib import Path

import click

from osoroi.cli import options, progress, text


@click.command()
@click.argument("dataset")
@options.encoder
@click.option("--split", help="The split whose pairs are used; all of them without it.")
@click.option("--distractors", multiple=True, help="A data set whose products only fill the gallery.")
@click.option("--corrupt", is_flag=True, help="Corrupt the queries: JPEG 40; box, light and white balance are off.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of --corrupt.")
@click.option("--out", type=options.Target(), help="Fit a calibration, and write the encoder with it to this file.")
@options.threads
@options.as_json
def command(
    dataset: str,
    encoder: Path | None,
    split: str | None,
    distractors: tuple[str, ...],
    corrupt: bool,
    seed: int,
    out: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Judge how well an encoder's probabilities fit the pairs of DATASET, or fit them with --out.

    Half of the products are taken out of the gallery, four times. Prints how well the probability of the first hit
    tells right from wrong (AUROC), how far it is from the share of right ones (error), and how well the sum over the
    hits tells whether the product is in the gallery. Fit on pairs that the encoder was not trained on, and judge on
    others.

    \b
    osoroi calibrate table:pairs.csv --split val --corrupt --encoder mine.onnx --out calibrated.onnx
    osoroi calibrate table:pairs.csv --split test --encoder calibrated.onnx
    """
    from osoroi.encoder import DEFAULT, Encoder
    from osoroi.errors import BadRequest
    from osoroi.evaluation import calibration
    from osoroi.evaluation.evaluate import evaluate

    opened = Encoder.open(encoder)
    if out is None and opened.metadata.calibration is None:
        raise BadRequest("this encoder has no calibration to judge", hint="fit one with --out")
    with progress.counting("crops") as show:
        evaluation = evaluate(
            dataset,
            encoder=encoder,
            split=split,
            distractors=distractors,
            corrupt=seed if corrupt else None,
            threads=threads,
            top_k=calibration.RETRIEVED,
            on_progress=show,
        )
    lists = calibration.lists_of(evaluation)
    model = opened.metadata.calibration if out is None else calibration.calibrate(lists, dataset=dataset)
    assert model is not None
    judged = calibration.quality(model, lists)
    if out is not None:
        calibration.write(opened, DEFAULT if encoder is None else encoder, model, out)
        text.warn(f"{out}: fitted on these lists, so the figures below flatter it")
    if as_json:
        text.show_json({"calibration": model.to_dict(), "quality": asdict(judged)})
        return
    text.show(
        f"lists {judged.queries:,}  first hit right {judged.right:.3f}  AUROC {judged.auroc:.3f}  "
        f"error {judged.error:.3f}  in the shop AUROC {judged.in_shop:.3f}"
    )
