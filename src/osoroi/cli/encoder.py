"""``osoroi encoder``: make encoder files of backbones that were trained elsewhere, and of encoders in integers."""

from pathlib import Path
from typing import Any

import click

from osoroi.cli import options, progress, text
from osoroi.encoder import DEFAULT
from osoroi.encoder.metadata import stand_in


@click.group()
def command() -> None:
    """Make encoder files of backbones that were trained elsewhere, or of encoders in integers.

    \b
    osoroi encoder make --backbone fashion-siglip --out siglip.onnx
    osoroi encoder quantize siglip.onnx --calibrate pairs.csv
    """


@command.command()
@click.option("--backbone", type=options.PathParameter(), required=True, help="A folder with a model, or an ONNX file.")
@click.option("--out", metavar="ENCODER", type=options.Target(), required=True, help="The encoder file to write.")
@click.option("--file", help="The model among the files of the folder, such as onnx/vision_model_fp16.onnx.")
@click.option(
    "--reference", type=options.PathParameter(), help="Vectors to compare with: an .npz of `vectors`, `photos`."
)
@click.option("--base", type=options.PathParameter(), default=DEFAULT, help="Encoder file that gives the other parts.")
@click.option("--half", is_flag=True, help="Store the weights in half precision; they are computed in single.")
@click.option(
    "--dim", type=click.IntRange(1), help="Numbers of `deep`: a Matryoshka model is cut, others need --photos."
)
@click.option("--photos", metavar="DATASET", help="Photos of the shop (as for `add`) that --dim whitens by.")
@click.option("--pairs", metavar="DATASET", help="Pairs to measure on what --dim loses.")
@click.option("--height", type=int, help="Height of the model's input in pixels.")
@click.option("--width", type=int, help="Width of the model's input in pixels.")
@click.option(
    "--resize", type=click.Choice(["squash", "shortest", "longest", "none"]), help="How photos get that size."
)
@click.option("--to", type=int, nargs=2, help="Size before cutting: height and width; of `shortest`, the side and 0.")
@click.option("--resample", help="The filter: nearest, box, bilinear, hamming, bicubic, lanczos.")
@click.option("--mean", type=float, nargs=3, help="Mean of red, green and blue, after the scale.")
@click.option("--std", type=float, nargs=3, help="Deviation of red, green and blue, after the scale.")
@click.option("--output", help="The output that is the vector, or any tensor of the graph.")
@click.option("--pool", type=click.Choice(["none", "cls", "mean"]), help="How tokens become a vector.")
@click.option("--licence", help="The licence of the weights, where the folder does not say.")
@click.option("--source", help="Where the weights come from, where the folder does not say.")
def make(
    backbone: Path,
    out: Path,
    file: str | None,
    reference: Path | None,
    base: Path,
    half: bool,
    dim: int | None,
    photos: str | None,
    pairs: str | None,
    **stated: Any,
) -> None:
    """Write an encoder file in which a pretrained backbone is the part `deep`; colour and pattern stay ours.

    Reads folders of transformers, optimum, transformers.js, fastembed, open_clip and timm, with a graph or with
    safetensors, and plain ONNX files; neither open_clip nor timm has to be installed. Where nothing says which pixels
    the model wants, a file osoroi.toml is written for you to edit.
    Refused where the vectors are not those of the reference.

    \b
    osoroi encoder make --backbone fashion-siglip --out siglip.onnx
    osoroi add shop table:products.csv --encoder siglip.onnx
    """
    from osoroi.pretrained.make import Options
    from osoroi.pretrained.make import make as make_encoder

    fields = {name: value for name, value in stated.items() if value is not None and value != ()}
    made = make_encoder(
        backbone,
        out,
        Options(
            file=file, stated=fields, base=base, reference=reference, half=half, dim=dim, photos=photos, pairs=pairs
        ),
    )
    for note in made.notes:
        text.warn(f"note: {note}")
    parts = ", ".join(f"{part.name} {part.size}" for part in made.encoder.parts)
    text.show(f"{out} {made.encoder.fingerprint[:12]} ({parts}); {made.checked}")


@command.command()
@click.argument("encoder", type=options.PathParameter())
@click.option("--calibrate", metavar="DATASET", required=True, help="Photos that set ranges.")
@click.option("--split", help="The split of that data set; without it, all of it.")
@click.option("--pairs", metavar="DATASET", help="Pairs that are searched; without it, those of --calibrate.")
@click.option("--pairs-split", help="The split of the pairs; without it, all of them.")
@click.option("--distractors", metavar="DATASET", multiple=True, help="More products in the gallery; may be repeated.")
@click.option(
    "--out", metavar="ENCODER", type=options.Target(), help="The encoder file to write; by default beside ENCODER."
)
@click.option("--force", is_flag=True, help="Write the file whatever it loses.")
def quantize(
    encoder: Path,
    calibrate: str,
    split: str | None,
    pairs: str | None,
    pairs_split: str | None,
    distractors: tuple[str, ...],
    out: Path | None,
    force: bool,
) -> None:
    """Write ENCODER with its convolutions in 8-bit integers, once its searches are as good as before.

    Convolutions that would move the vectors most stay as they are. The photos of --calibrate set the ranges of the
    activations, and the pairs are searched by both encoders, and by each among products of the other. Refused where
    hit@5 loses more than half a point, or where its interval does not end within two points, as with few pairs. As
    NAME.int8.onnx beside NAME.onnx, the file takes that one's place in `osoroi serve` and `osoroi add` on machines
    where it is faster; no catalog has to be reencoded.

    \b
    osoroi encoder quantize encoder.onnx --calibrate pairs.csv --split train --pairs pairs.csv --pairs-split val
    """
    from osoroi.pretrained.quantize import METRIC, PairSource
    from osoroi.pretrained.quantize import quantize as in_integers

    judges = PairSource(pairs or calibrate, pairs_split if pairs else split, distractors)
    target = out or stand_in(encoder)
    with progress.counting("crops searched with") as show:
        made = in_integers(encoder, target, PairSource(calibrate, split), pairs=judges, force=force, on_progress=show)
    text.show(f"{METRIC} loses {made.losses}, over {made.queries} queries")
    if made.same_photos:
        text.warn("the pairs that judged are calibration photos, too; give others with --pairs")
    text.show(f"{target} {made.encoder.fingerprint[:12]}")
