"""How well the predicted Dice of a run tells the true one: rank correlation, cases under 0.70 found, mean error.

    ldseg segment FOLDER --weights GlaS --out out
    python3 benchmarks/quality.py out/metrics.json

The folder has to have labels. Spearman's rank correlation; the area under the ROC curve for cases whose Dice is under 0.70.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

BAD = 0.70


def main() -> None:
    """Print the figures of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", type=Path, help="metrics.json of a run over labelled cases")
    options = parser.parse_args()
    pairs = []
    for case in json.loads(options.metrics.read_bytes())["cases"]:
        if case["predicted_dice"] is not None and case["dice"]:
            scores = [score for score in list(case["dice"].values())[1:] if score is not None]
            if scores:
                pairs.append((case["predicted_dice"], float(np.mean(scores))))
    predicted, true = np.array(pairs).T
    bad = true < BAD
    ranks, count = rankdata(-predicted), int(bad.sum())
    area = (ranks[bad].sum() - count * (count + 1) / 2) / (count * (len(true) - count)) if 0 < count < len(true) else np.nan
    print(f"{len(true)} cases, Dice {true.mean():.3f}, {count} of them under {BAD}")
    print(f"Spearman {spearmanr(predicted, true)[0]:.3f}, AUROC {area:.3f}")
    print(f"mean error {np.abs(predicted - true).mean():.3f}, of that too high {(predicted - true).mean():+.3f}")


if __name__ == "__main__":
    main()
