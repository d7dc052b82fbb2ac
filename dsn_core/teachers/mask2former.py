"""Mask2Former, the paper's segmentation teacher, through the transformers library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.teachers.base import Labeller, Labels, LabelTeacher
from dsn_core.teachers.classes import train_id_table
from dsn_core.teachers.fingerprint import fingerprint_of
from dsn_core.teachers.pictures import size_of_short
from dsn_core.teachers.pretrained import (
    answer_to,
    load_pretrained,
    pretrained_digest,
    require_pretrained,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ['Mask2FormerTeacher']

_STRIDE = 32  # of its deepest feature


@dataclass(frozen=True)
class Mask2FormerTeacher(LabelTeacher, kind='mask2former'):
    """Mask2Former (Cheng et al., CVPR 2022), trained on Cityscapes."""

    model: str = 'facebook/mask2former-swin-large-cityscapes-semantic'
    """Name on the hub, or a folder with config.json and model.safetensors."""
    revision: str = 'main'
    """Branch, tag or commit of a hub model."""
    short_side: int = 512
    """Pictures are shown to it with their shorter side this long, pixels. It was trained on 512 to
    2048 and published with 1024, which takes four times as long."""
    precision: str = 'fp32'
    """fp32, or bf16 (mixed), which is faster on a GPU."""

    def __post_init__(self) -> None:
        require_pretrained(self.model, self.short_side, self.precision)

    def fingerprint(self) -> str:
        digest = pretrained_digest(self.model, self.revision)
        return fingerprint_of(self.kind, digest, self.short_side, self.precision)

    def load(self, device: str) -> Labeller:
        network = load_pretrained(
            self.model,
            self.revision,
            'Mask2FormerForUniversalSegmentation',
            'mask2former',
            device,
        )
        classes = [network.config.id2label[i] for i in range(network.config.num_labels)]
        table = train_id_table(classes, f'model {self.model}')
        return _Mask2Former(network, table, self.short_side, self.precision, device)


class _Mask2Former:
    def __init__(
        self, network: Any, table: NDArray[np.uint8], short_side: int, precision: str, device: str
    ) -> None:
        self._network = network
        self._table = table
        self._short_side = short_side
        self._precision = precision
        self._device = device

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> Labels:
        """See ``Labeller``. Confidence is the share of the winning class, see ``_shares``."""
        height, width = images.shape[1:3]
        size = size_of_short(height, width, self._short_side, _STRIDE)
        out = answer_to(images, size, self._network, self._precision, self._device)
        ids = np.empty(images.shape[:3], dtype=np.uint8)
        confidence = np.empty_like(ids)
        # Picture by picture: all queries' masks at full size are large.
        for i, (masks, classes) in enumerate(
            zip(out.masks_queries_logits, out.class_queries_logits, strict=True)
        ):
            best, winner = _shares(masks, classes, height, width).max(dim=0)  # (H, W)
            ids[i] = self._table[winner.cpu().numpy()]
            confidence[i] = (best * 255).round().byte().cpu().numpy()
        return Labels(ids, confidence)


def _shares(masks: 'Tensor', classes: 'Tensor', height: int, width: int) -> 'Tensor':
    """Each class's share of each pixel, (C, H, W), summing to at most 1.

    ``masks`` (Q, h, w) and ``classes`` (Q, C + 1), the logits of Q queries; the last class means
    "nothing". As in the paper's inference for semantic segmentation, the masks are brought to the
    picture's size as logits, and a class has the sum over the queries of its probability times
    that of the mask. Sums above 1, where queries overlap, are divided by; what is missing to 1
    belongs to no class, so that a pixel which no query wants is not made a sure one.
    """
    import torch

    with torch.inference_mode():
        full = torch.nn.functional.interpolate(
            masks[None].float(), size=(height, width), mode='bilinear', align_corners=False
        )[0]  # (Q, H, W)
        probabilities = classes.float().softmax(dim=-1)[:, :-1]  # (Q, C)
        scores = torch.einsum('qc,qhw->chw', probabilities, full.sigmoid())
        return scores / scores.sum(dim=0).clamp(min=1)
