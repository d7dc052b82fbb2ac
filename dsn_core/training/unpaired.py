"""Crops of day and night frames that do not belong together: what CycleGAN trains on."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from dsn_core.errors import ConfigError, UserError
from dsn_core.training.frame_store import FrameStore

__all__ = ['UnpairedCrops']


class UnpairedCrops(Dataset[dict[str, Any]]):
    """``samples`` pairs of crops; pair i is the same whenever it is asked for.

    Each is of a random day and a random night frame, resized to ``load_height`` pixels high,
    cropped at random to ``crop`` (height, width) and flipped every other time, as [47] does with
    square pictures. A sample: ``day`` and ``night`` (3, h, w) float32 RGB in [-1, 1], ``index``
    its own number, ``day_name`` and ``night_name`` of the frames.

    Raises UserError if a domain has no frames, ConfigError if its frames are narrower than the
    crop.
    """

    def __init__(
        self,
        day: FrameStore,
        night: FrameStore,
        *,
        load_height: int,
        crop: tuple[int, int],
        samples: int,
        seed: int,
    ) -> None:
        self._stores = {'day': day, 'night': night}
        self._load_height = load_height
        self._crop = crop
        self._samples = samples
        self._seed = seed
        for domain, store in self._stores.items():
            if len(store) == 0:
                raise UserError(
                    f'there are no {domain} frames to translate: add a {domain} source'
                )
            width = _scaled_width(store.height, store.width, load_height)
            if width < crop[1]:
                raise ConfigError(
                    f'translate.crop must be at most {width} wide, as {domain} frames are at '
                    f'load_height {load_height}, got {crop[1]}'
                )

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng([self._seed, index])
        sample: dict[str, Any] = {'index': index}
        for domain, store in self._stores.items():
            pick = int(rng.integers(len(store)))
            sample[f'{domain}_name'] = f'{domain}/{store.name(pick)}'
            sample[domain] = self._view(store.image(pick), rng)
        return sample

    def _view(self, image: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        height, width = self._crop
        image = _at_height(image, self._load_height)
        top = int(rng.integers(image.shape[0] - height + 1))
        left = int(rng.integers(image.shape[1] - width + 1))
        view = image[top : top + height, left : left + width]
        if rng.random() < 0.5:
            view = view[:, ::-1]
        pixels = torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))
        return pixels.float() / 127.5 - 1


def _scaled_width(height: int, width: int, to_height: int) -> int:
    return round(width * to_height / height)


def _at_height(image: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    if image.shape[0] == height:
        return image
    size = (_scaled_width(image.shape[0], image.shape[1], height), height)
    shrinks = height < image.shape[0]
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return resized.astype(np.uint8, copy=False)
