"""Derive, from drawn people alone, where garments lie on a body, and print what stands in the rule beside it.

    python tools/derive_garment_rule.py --people 300

Detects every drawn person's pose as ``osoroi find`` does and takes the true boxes along the body. Prints, for each
kind, median and deviation (1.48 median absolute deviations) of top and bottom (shoulder 0, hip 1, knee 2, ankle 3), of
log(width in torsos) and of the offset from the body's middle: the table of osoroi.garments.posterior. Then the error
of the rule's rows against the true ones, with the kind given, and how far pose landmarks lie from the drawn joints.
"""

import argparse
from collections import defaultdict

import numpy as np

from osoroi.data.synthetic.outfits import outfits
from osoroi.garments import picture, profile, rule
from osoroi.garments import pose as poses
from osoroi.garments.body import Body
from osoroi.garments.find import cut, squared
from osoroi.garments.people import detect
from osoroi.garments.picture import IMAGENET
from osoroi.garments.posterior import place


def main() -> None:
    """Draw, detect, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    places, errors, joints, masses = defaultdict(list), defaultdict(list), [], []
    for number in range(arguments.people):
        made = outfits(arguments.seed, number)
        people = [found for found in detect(made.photo) if found.label == "person"]
        if not people:
            continue
        posed = poses.pose(made.photo, people[0].box)
        body = Body(posed)
        colours = profile.profile(body)
        true = np.array([(made.joints[0].mean(axis=1)[:, axis]) for axis in (0, 1)]).T
        seen = body.joints * posed.scale + (posed.left, posed.top)
        joints.append(np.abs(seen - true)[:, 1] / (body.torso * posed.scale))
        for garment in made.garments:
            left, top, right, bottom = garment.box
            box = squared(posed, (left, top, right, bottom))
            (row,) = picture.logits([cut(made.photo, (left, top, right, bottom))]).rows
            masses.append([picture.log_mass(row, kind) for kind in IMAGENET])
            places[garment.kind].append(place(body, box))
            if garment.kind in rule.COLUMN_SHARE:
                start, end = rule.rows(colours, garment.kind)
                errors[garment.kind].append((start - body.place(box[1]), end - body.place(box[3])))
    print("kind        n   top          bottom       log width    offset")
    for kind, rows in places.items():
        values = np.array(rows)
        middle = np.median(values, axis=0)
        spread = 1.48 * np.median(np.abs(values - middle), axis=0)
        cells = "  ".join(f"{m:5.2f} ±{s:4.2f}" for m, s in zip(middle, spread, strict=True))
        print(f"{kind:10} {len(values):3}   {cells}")
    print("rows of the rule less true rows, median and median absolute error: top, bottom")
    for kind, pairs in errors.items():
        gaps = np.array(pairs)
        print(f"{kind:10} {np.median(gaps, axis=0).round(2)} {np.median(np.abs(gaps), axis=0).round(2)}")
    print("log mass of each kind's classes of ImageNet, the mean over garments")
    print({kind: round(float(mean), 2) for kind, mean in zip(IMAGENET, np.mean(masses, axis=0), strict=True)})
    print("shoulder, hip, knee, ankle: median distance down the photo from drawn joints, in torsos")
    print(np.median(np.array(joints), axis=0).round(3))


if __name__ == "__main__":
    main()
