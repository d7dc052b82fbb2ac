"""One example of each condition for the page: what was shown, what is true, what was said."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.evaluation.prediction import Prediction
from dsn_core.evaluation.samples import EvaluationSample
from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_core.visual import colourise_depth

__all__ = ['example_pictures']

_WIDTH = 384  # pixels
_QUALITY = 85


def example_pictures(
    sample: EvaluationSample, prediction: Prediction, factor: float
) -> dict[str, str]:
    """Pictures by what they show, as ``data:`` addresses; ``prediction`` at the truth's size.

    ``factor``: what predicted depth is multiplied by to be in metres.
    """
    pictures = {'picture': _encoded(sample.image)}
    if (sample.depth > 0).any():
        truth = np.where(sample.depth > 0, sample.depth, np.float32(np.nan))
        pictures['true depth'] = _encoded(colourise_depth(truth))
    if prediction.depth is not None:
        depth = (prediction.depth * factor).astype(np.float32)
        pictures['depth'] = _encoded(colourise_depth(depth))
    if (sample.labels != UNLABELLED).any():
        pictures['true labels'] = _encoded(CITYSCAPES.colourise(sample.labels), sharp=True)
    if prediction.labels is not None:
        pictures['labels'] = _encoded(CITYSCAPES.colourise(prediction.labels), sharp=True)
    return pictures


def _encoded(picture: NDArray[np.uint8], sharp: bool = False) -> str:
    height, width = picture.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        how = cv2.INTER_NEAREST_EXACT if sharp else cv2.INTER_AREA
        picture = cv2.resize(picture, size, interpolation=how).astype(np.uint8, copy=False)
    kind, options = ('png', []) if sharp else ('jpeg', [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    ok, data = cv2.imencode(f'.{kind}', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise RuntimeError(f'OpenCV could not encode a picture of {picture.shape} as {kind}')
    return f'data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode("ascii")}'
