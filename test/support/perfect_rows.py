"""Rows that know the truth, and what evaluation has to say of them."""

import cv2
import numpy as np
import pytest

from dsn_core.evaluation.config import EvaluationConfig
from dsn_core.evaluation.folder_row import FolderRow
from dsn_core.evaluation.run import evaluate


def predictions(root, found, factor=1.0):
    """A folder row of the true labels, and of the true depth times ``factor``."""
    for sample in found:
        stem = root / sample.name
        stem.parent.mkdir(parents=True, exist_ok=True)
        depth = np.where(sample.depth > 0, sample.depth * factor, 30.0)
        np.save(f'{stem}.depth.npy', depth.astype(np.float32))
        labels = np.where(sample.labels == 255, 0, sample.labels).astype(np.uint8)
        assert cv2.imwrite(f'{stem}.labels.png', labels)
    return FolderRow(root)


def scores_of_truth_and_double(tmp_path, each, found, table, conditions):
    """Scores of the truth (perfect) and of its double (perfect when scaled); and the config."""
    rows = (
        predictions(tmp_path / 'perfect', found),
        predictions(tmp_path / 'double', found, 2.0),
    )
    config = EvaluationConfig((each,), rows)
    scores = evaluate(config, tmp_path / 'work')
    perfect, double = (score.conditions for score in scores)
    for condition in conditions:
        for scaling in ('median_scaled', 'unscaled'):
            errors = list(perfect[condition]['depth'][table][scaling].values())
            assert errors == pytest.approx([0, 0, 0, 0, 1, 1, 1], abs=1e-5)
        assert perfect[condition]['labels']['miou'] == 1
        errors = double[condition]['depth'][table]
        assert errors['median_scaled']['abs_rel'] == pytest.approx(0, abs=1e-5)
        assert errors['unscaled']['abs_rel'] > 0.5
    return scores, config
