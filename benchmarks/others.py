"""What a user would take instead: nnU-Net and a plain Keras U-Net, on the same cases, cores and time as weights of ours.

    python3 benchmarks/others.py cases FOLDER work --train "train_*" --validation train_2,train_5 --test "testA_*"
    python3 benchmarks/others.py unet work --minutes 10
    NNUNET/bin/python benchmarks/others.py nnunet work --minutes 30 --memory 1
    python3 benchmarks/others.py score work/unet work/nnunet/masks out

``cases`` writes PNG files that all of them read (``work/Image``, ``work/Label``, ``work/split.json``). ``nnunet``
runs in an environment with ``pip install nnunetv2`` and no more of LDSeg than this file; ``--memory`` are the GB of a
GPU that its plan is made for, as its own patches take minutes for one update on two cores. Minutes are those of two
idle cores, counted as processor time (a minute is 120 s of it), so that other work on the machine takes nothing away
from one of them. ``score`` reads masks ``NAME.png`` or ``NAME_segmentation.png``; an object is a connected component
of a mask (of ``NAME_instances.png`` where a run wrote such) and a number of the label.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
CORES = 2
SIDE = 256
"""Height and width that the plain U-Net sees; its masks are resized to the image."""
BATCH = 4


def main() -> None:
    """Prepare, train or score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="cases | unet | nnunet | score")
    cases = commands.add_parser("cases", help="write the cases of a data set as PNG files")
    cases.add_argument("source", type=Path)
    cases.add_argument("work", type=Path)
    cases.add_argument("--train", default="*", help="patterns of names with commas between them")
    cases.add_argument("--validation", default="", help="names or patterns among these that are not trained on")
    cases.add_argument("--test", required=True)
    cases.set_defaults(run=lambda o: write_cases(o.source, o.work, o.train, o.validation, o.test))
    for name in ("unet", "nnunet"):
        trained = commands.add_parser(name, help="train and segment the test cases")
        trained.add_argument("work", type=Path)
        trained.add_argument("--minutes", type=float, default=10)
        if name == "unet":
            trained.set_defaults(run=lambda o: unet(o.work, CORES * 60 * o.minutes))
        else:
            trained.add_argument("--memory", type=float, help="GB that it plans for; its own 8 if not given")
            trained.set_defaults(run=lambda o: nnunet(o.work, CORES * 60 * o.minutes, o.memory))
    scored = commands.add_parser("score", help="a table of folders of masks")
    scored.add_argument("work", type=Path)
    scored.add_argument("masks", type=Path, nargs="+")
    scored.set_defaults(run=lambda o: score(o.work, o.masks))
    options = parser.parse_args()
    options.run(options)


def write_cases(source: Path, work: Path, train: str, validation: str, test: str) -> None:
    """Every case as an RGB picture and a label of object numbers, and the split."""
    sys.path.insert(0, str(ROOT))
    from skimage.io import imsave

    from ldseg.data.cases import find_cases
    from ldseg.io.pictures import read_image, read_label

    split = {}
    for part, patterns in (("train", train), ("validation", validation), ("test", test)):
        found = find_cases(source, patterns.split(",")).cases if patterns else []
        split[part] = [case.name for case in found]
        for case in found:
            for folder, picture in (("Image", read_image(case.image)), ("Label", read_label(case.label))):
                path = work / folder / f"{case.name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                imsave(path, np.squeeze(picture).astype(np.uint8), check_contrast=False)
    if doubled := set(split["test"]) & {*split["train"], *split["validation"]}:
        raise SystemExit(f"--test: expected cases that are not trained on, got {', '.join(sorted(doubled))}")
    split["train"] = [name for name in split["train"] if name not in set(split["validation"])]
    (work / "split.json").write_text(json.dumps(split, indent=2) + "\n")
    print({part: len(names) for part, names in split.items()})


def load(work: Path, part: str) -> list[tuple[str, npt.NDArray, npt.NDArray]]:
    """Name, RGB image and foreground of each case of a part."""
    from skimage.io import imread

    names = json.loads((work / "split.json").read_text())[part]
    return [(name, imread(work / "Image" / f"{name}.png"), imread(work / "Label" / f"{name}.png") > 0) for name in names]


def unet(work: Path, seconds: float) -> None:
    """A U-Net as in Keras' examples: four levels, 16 to 256 filters, batch normalisation, crossentropy and Dice, flips."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import cv2
    import keras
    from keras import layers, ops

    def block(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))
        return x

    inputs = x = keras.Input((SIDE, SIDE, 3))
    skips = []
    for filters in (16, 32, 64, 128):
        skips.append(block(x, filters))
        x = layers.MaxPooling2D()(skips[-1])
    x = block(x, 256)
    for filters, skip in zip((128, 64, 32, 16), reversed(skips), strict=True):
        x = block(layers.Concatenate()([layers.Conv2DTranspose(filters, 2, strides=2)(x), skip]), filters)
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))

    def loss(true: Any, probable: Any) -> Any:
        overlap = 2 * ops.sum(true * probable, axis=(1, 2, 3)) + 1
        total = ops.sum(true, axis=(1, 2, 3)) + ops.sum(probable, axis=(1, 2, 3)) + 1
        return keras.losses.binary_crossentropy(true[..., 0], probable[..., 0]) + ops.mean(1 - overlap / total)

    def resized(picture: npt.NDArray, way: int) -> npt.NDArray:
        return cv2.resize(picture.astype(np.float32), (SIDE, SIDE), interpolation=way)

    def arrays(part: str) -> tuple[npt.NDArray, npt.NDArray]:
        cases = load(work, part)
        images = np.stack([resized(image, cv2.INTER_AREA) / 255 for _, image, _ in cases])
        return images, np.stack([resized(label, cv2.INTER_NEAREST)[..., None] for *_, label in cases])

    images, labels = arrays("train")
    seen, known = arrays("validation")
    rng = np.random.default_rng(0)

    def update() -> None:
        chosen = rng.integers(len(images), size=BATCH)
        x, y = images[chosen], labels[chosen]
        for axis in (1, 2):
            if rng.random() < 0.5:
                x, y = np.flip(x, axis), np.flip(y, axis)
        model.train_on_batch(x, y)

    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    update()
    best, kept, count, before = -1.0, model.get_weights(), 1, time.process_time()
    spent = lambda: (time.process_time() - before) / seconds  # noqa: E731
    checks = 20
    for check in range(1, checks + 1):
        while spent() < check / checks:
            # The rate falls to nothing by a cosine within the time.
            model.optimizer.learning_rate.assign(1e-3 * (1 + np.cos(np.pi * min(spent(), 1))) / 2)
            update()
            count += 1
        probable = model.predict(seen, batch_size=BATCH, verbose=0) > 0.5
        dice = float(np.mean([2 * (p * k).sum() / (p.sum() + k.sum()) for p, k in zip(probable, known, strict=True)]))
        if dice > best:
            best, kept = dice, model.get_weights()
    model.set_weights(kept)
    (work / "unet").mkdir(exist_ok=True)

    def segment(image: npt.NDArray) -> npt.NDArray:
        probable = model.predict_on_batch(resized(image, cv2.INTER_AREA)[None] / 255)[0, ..., 0]
        return cv2.resize(probable, image.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 0.5

    facts(f"unet: {count} updates, validation Dice {best:.3f}", segmented(work, work / "unet", segment))


def nnunet(work: Path, seconds: float, memory: float | None) -> None:
    """nnU-Net as it plans and trains itself, its number of epochs set so that the rate falls to the end within the time.

    It segments each image as it is, as ours does, without the mirrored copies that it adds by default.
    """
    folder = (work / "nnunet").resolve()
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(folder / name)
    os.environ["nnUNet_n_proc_DA"] = str(CORES)  # noqa: SIM112
    os.environ["nnUNet_compile"] = "false"  # noqa: SIM112
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from skimage.io import imsave

    torch.set_num_threads(CORES)
    split = json.loads((work / "split.json").read_text())
    data = folder / "raw" / "Dataset001_Cases"
    for name in ("imagesTr", "labelsTr"):
        (data / name).mkdir(parents=True, exist_ok=True)
    for part in ("train", "validation"):
        for name, image, label in load(work, part):
            imsave(data / "imagesTr" / f"{name}_0000.png", image, check_contrast=False)
            imsave(data / "labelsTr" / f"{name}.png", label.astype(np.uint8), check_contrast=False)
    count = len(split["train"]) + len(split["validation"])
    described = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "object": 1},
        "numTraining": count,
        "file_ending": ".png",
    }
    (data / "dataset.json").write_text(json.dumps(described))
    extract_fingerprints([1], num_processes=CORES)
    identifier = plan_experiments([1], gpu_memory_target_in_gb=memory)
    preprocess([1], identifier, configurations=("2d",), num_processes=[CORES])
    prepared = folder / "preprocessed" / data.name
    (prepared / "splits_final.json").write_text(json.dumps([{"train": split["train"], "val": split["validation"]}]))

    class Short(nnUNetTrainer):
        """As published but for the length of an epoch and of the training."""

        # nnU-Net looks up its arguments by name.
        def __init__(
            self, plans: dict[str, Any], configuration: str, fold: int, dataset_json: dict[str, Any], device: Any
        ) -> None:
            super().__init__(plans, configuration, fold, dataset_json, device)
            self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 10, 2

        def on_train_start(self) -> None:
            """Find the rate, of which the number of epochs follows, and with it how fast the learning rate falls."""
            super().on_train_start()
            self.network.train()
            self.train_step(next(self.dataloader_train))
            before = time.process_time()
            for _ in range(2):
                self.train_step(next(self.dataloader_train))
            each = (time.process_time() - before) / 2
            updates = self.num_iterations_per_epoch + self.num_val_iterations_per_epoch / 3
            self.num_epochs = self.lr_scheduler.max_steps = max(1, round(seconds / (each * updates)))

    # Augmentation in the same process, so that its time is counted.
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112
    plans = json.loads((prepared / f"{identifier}.json").read_text()) | {"continue_training": False}
    trainer = Short(plans, "2d", 0, json.loads((prepared / "dataset.json").read_text()), device=torch.device("cpu"))
    trainer.initialize()
    trainer.run_training()
    predictor = nnUNetPredictor(
        device=torch.device("cpu"), use_mirroring=False, perform_everything_on_device=False, allow_tqdm=False
    )  # fmt: skip
    trained = trainer.output_folder
    network = torch.load(Path(trained) / "checkpoint_best.pth", map_location="cpu", weights_only=False)["network_weights"]
    trainer.network.load_state_dict(network)
    trainer.set_deep_supervision_enabled(False)
    allowed = trainer.inference_allowed_mirroring_axes
    manager = trainer.plans_manager
    predictor.manual_initialization(
        trainer.network, manager, trainer.configuration_manager, [network], trainer.dataset_json, Short.__name__, allowed
    )

    def segment(image: npt.NDArray) -> npt.NDArray:
        channels = np.moveaxis(image, -1, 0)[:, None].astype(np.float32)
        mask: npt.NDArray = predictor.predict_single_npy_array(channels, {"spacing": (999, 1, 1)})[0]
        return mask > 0

    updates = trainer.num_epochs * trainer.num_iterations_per_epoch
    what = f"nnunet: {updates} updates, patch {trainer.configuration_manager.patch_size}"
    facts(what, segmented(work, folder / "masks", segment))


def segmented(work: Path, out: Path, segment: Callable[[npt.NDArray], npt.NDArray]) -> float:
    """Masks of the test cases as files; seconds of processor time an image, the first one left out."""
    from skimage.io import imsave

    out.mkdir(parents=True, exist_ok=True)
    cases, began = load(work, "test"), 0.0
    for number, (name, image, _) in enumerate(cases):
        imsave(out / f"{name}.png", segment(image).astype(np.uint8), check_contrast=False)
        if number == 0:
            began = time.process_time()
    return (time.process_time() - began) / (len(cases) - 1)


def facts(what: str, seconds: float) -> None:
    """Print what a training came to."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    total = time.process_time()
    print(f"{what}; {total:.0f} s of processor time in all, peak {peak:.2f} GB, {seconds:.2f} s of it an image")


def score(work: Path, folders: list[Path]) -> None:
    """Pixel Dice and IoU, mean over images; object scores pooled over the set."""
    sys.path.insert(0, str(ROOT))
    from skimage.io import imread

    import ldseg
    from ldseg.evaluation.objects import object_sums, pooled, separate

    print("| | Dice | IoU | object F1 | object Dice | object Hausdorff, px |\n|---|---|---|---|---|---|")
    for folder in folders:
        dice, iou, sums = [], [], []
        for name in json.loads((work / "split.json").read_text())["test"]:
            plain = next(p for p in (folder / f"{name}.png", *folder.rglob(f"{name}_segmentation.png")) if p.is_file())
            numbered = next(iter(folder.rglob(f"{name}_instances.png")), None)
            label, mask = imread(work / "Label" / f"{name}.png"), imread(plain) > 0
            found = ldseg.evaluate(mask.astype(np.int32), (label > 0).astype(np.int32)).mean
            dice.append(found["dice"])
            iou.append(found["iou"])
            objects = separate(mask) if numbered is None else imread(numbered).astype(np.int32)
            sums.append(object_sums(objects, label.astype(np.int32)))
        f1, overlap, distance = pooled(sums)
        pixels = f"{np.mean(dice):.3f} ± {np.std(dice, ddof=1):.3f} | {np.mean(iou):.3f}"
        print(f"| {folder} | {pixels} | {f1:.3f} | {overlap:.3f} | {distance:.1f} |")


if __name__ == "__main__":
    main()
