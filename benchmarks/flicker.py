"""Videos segmented as videos and frame by frame with the same weights: Dice, IoU, and how much the masks flicker.

    python3 benchmarks/flicker.py --root ../data --dataset VocalFolds --cases seq3,seq5

Frame by frame, every frame is a video of its own, repeated until it fills the window of the network. Flicker is the share of
pixels that change class from one frame to the next while the true label does not (``ldseg.evaluation.flicker``).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Segment both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT / "data", help="folder of the data sets")
    parser.add_argument("--dataset", default="VocalFolds", help="a data set of labelled videos [VocalFolds]")
    parser.add_argument("--cases", default="*", help="patterns of names with commas between them [*]")
    parser.add_argument("--weights", type=Path, help="folder of the weights [weights/<dataset>]")
    parser.add_argument("--steps", type=int, default=15, help="sampling steps [15]")
    options = parser.parse_args()

    import tifffile

    from ldseg.base.text import number
    from ldseg.cli.table import table
    from ldseg.data.cases import Case, find_cases, load_case
    from ldseg.evaluation.flicker import flicker
    from ldseg.evaluation.metrics import dice, iou
    from ldseg.inference import segment_cases
    from ldseg.inference.predictor import Predictor
    from ldseg.weights import load_segmenter

    segmenter, description = load_segmenter(options.weights or ROOT / "weights" / options.dataset)
    step = description.preprocessing
    predictor = Predictor(segmenter, steps=options.steps)
    predictor.compile()
    rows = []
    for case in find_cases(options.root / options.dataset, options.cases.split(","), axes="TYX").cases:
        loaded = load_case(case, step)
        if loaded.label is None:
            raise SystemExit(f"{case.name}: expected a label")
        (video,) = segment_cases(predictor, [case], step, batch_size=4, seed=0)
        with tempfile.TemporaryDirectory() as folder:
            frames = []
            for index, image in enumerate(loaded.image):
                path = Path(folder) / f"{case.name}_{index}.tif"
                photometric = "rgb" if image.shape[-1] == 3 else "minisblack"
                stored = np.rint(image * 255).astype(np.uint8)
                tifffile.imwrite(path, stored if image.shape[-1] == 3 else stored[..., 0], photometric=photometric)
                frames.append(Case(name=path.stem, image=path, label=None, group=case.group))
            single = np.concatenate([each.mask for each in segment_cases(predictor, frames, step, batch_size=4, seed=0)])
        for kind, mask in (("video", video.mask), ("frame by frame", single)):
            with np.errstate(invalid="ignore"):
                scores = dice(mask, loaded.label, step.num_classes), iou(mask, loaded.label, step.num_classes)
            means = [float(np.nanmean(values)) for values in scores]
            rows.append([f"{case.name}, {kind}", *(number(each) for each in (*means, flicker(mask, loaded.label)))])
    print(table(["", "Dice", "IoU", "flicker"], rows))
    print("Dice and IoU: mean over all classes that occur, the first included.")


if __name__ == "__main__":
    main()
