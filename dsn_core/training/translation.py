"""Stage translate: CycleGAN trained on the frames of both domains, then every frame translated."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad
from tqdm import tqdm

from dsn_core.checkpoint import (
    HEADER,
    CheckpointError,
    matching_state,
    read_safetensors,
    save_safetensors,
)
from dsn_core.models.cyclegan import Generator
from dsn_core.processes import Runner
from dsn_core.training import world
from dsn_core.training.chunks import Chunk, chunks_of, missing_batches, spread
from dsn_core.training.cyclegan import OTHER, CycleGanStage, to_picture
from dsn_core.training.fit import fit
from dsn_core.training.frame_store import FrameStore, write_picture
from dsn_core.training.run import WORK
from dsn_core.training.run_log import RunLog
from dsn_core.training.trainer_config import TrainerConfig
from dsn_core.training.translate_config import TranslateConfig
from dsn_core.training.unpaired import UnpairedCrops

__all__ = ['Generators', 'TranslateConfig', 'translate']

GENERATORS = 'generators.safetensors'
_KIND = 'cyclegan'  # what the header says the file is
_BATCH = 4  # frames translated at a time
_READ_AHEAD = 2  # batches

_Item = TypeVar('_Item')
_Value = TypeVar('_Value')


@dataclass(frozen=True)
class Generators:
    """What training leaves: both generators, by the domain that they make."""

    networks: nn.ModuleDict
    width: int
    blocks: int
    losses: dict[str, float]
    """The terms of ``CycleGanStage`` at the end of training."""

    def save(self, path: Path) -> None:
        """Write ``path`` as safetensors, whole or not at all; its header says what it is."""
        fields = {
            'kind': _KIND,
            'width': self.width,
            'blocks': self.blocks,
            'losses': self.losses,
        }
        save_safetensors(path, self.networks, fields)

    @classmethod
    def load(cls, path: Path) -> 'Generators':
        """Read what ``save`` wrote; raises CheckpointError naming the file and what is wrong."""
        header, tensors = read_safetensors(path)
        try:
            fields = json.loads(header.get(HEADER, '{}'))
            if fields.get('kind') != _KIND:
                raise CheckpointError(f'{path} holds no generators: give a {GENERATORS}')
            width, blocks = int(fields['width']), int(fields['blocks'])
            losses = {str(name): float(value) for name, value in fields['losses'].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f'{path} holds no generators: {error!r}') from error
        networks = nn.ModuleDict({domain: Generator(width, blocks) for domain in OTHER})
        networks.load_state_dict(matching_state(path, tensors, networks, 'generators'))
        return cls(networks, width, blocks, losses)


def translate(
    day: FrameStore,
    night: FrameStore,
    folder: Path,
    config: TranslateConfig,
    settings: TrainerConfig,
    seed: int,
    log: RunLog,
    runner: Runner | None = None,
) -> dict[str, float]:
    """Train the generators and translate all frames of both domains at their full size.

    Leaves ``generators.safetensors`` (unless ``config.generators`` are used) and, named as the
    frames are, ``synthetic_night/NNNNNN.jpg`` of the day frames and ``synthetic_day`` of the night
    frames in ``folder``. Goes on from what is there, which must be of these frames and settings;
    several processes train together and share the frames, which are ``runner``'s workers to
    translate if there is one. Returns the last training losses.

    Raises UserError naming what cannot be used, KeyboardInterrupt if training was stopped.
    """
    stores = {'day': day, 'night': night}
    path = config.generators or folder / GENERATORS
    if config.generators is None and not path.exists():
        trained = _train(stores, folder, config, settings, seed, log)
        if world.rank() == 0:
            trained.save(path)
    world.barrier()
    losses = Generators.load(path).losses
    translator = partial(_Translator, path.absolute(), config.jpeg_quality, settings.precision)
    _translate_frames(stores, folder, translator, runner)
    return losses


def _train(
    stores: dict[str, FrameStore],
    folder: Path,
    config: TranslateConfig,
    settings: TrainerConfig,
    seed: int,
    log: RunLog,
) -> Generators:
    samples = config.samples_per_epoch or max(map(len, stores.values()))
    epoch_steps = -(-samples // config.batch_size)
    steps = epoch_steps * (config.epochs + config.decay_epochs)
    crops = UnpairedCrops(
        **stores,
        load_height=config.load_height,
        crop=config.crop_size,
        samples=steps * config.batch_size,
        seed=seed,
    )
    torch.manual_seed(seed)
    stage = CycleGanStage(config, epoch_steps, settings, seed, folder / WORK)
    fit(
        stage,
        crops,
        folder=folder,
        steps=steps,
        batch_size=config.batch_size,
        epoch_steps=epoch_steps,
        settings=settings,
        log=log,
    )
    return Generators(stage.generators, config.width, config.blocks, stage.last_losses())


class _Translator:
    """Writes the frames of chunks, translated, that have no whole file yet."""

    def __init__(self, generators: Path, quality: int, precision: str) -> None:
        self._device = torch.device(world.device())
        self._networks = Generators.load(generators).networks.eval().to(self._device)
        self._quality = quality
        self._precision = precision
        self._store = cache(FrameStore)

    def __call__(self, chunk: Chunk, done: Callable[[int], object] = int) -> None:
        """Translate a chunk whose name is the domain to make; tells ``done`` of every batch."""
        store = self._store(chunk.frames)
        generator = self._networks[chunk.name]
        assert isinstance(generator, Generator)

        def read(batch: range) -> NDArray[np.uint8]:
            return np.stack([store.image(i) for i in batch])

        def write(batch: range, pictures: NDArray[np.uint8]) -> None:
            for i, picture in zip(batch, pictures, strict=True):
                path = _path(chunk.out, store, i)
                if not _is_whole(path):
                    write_picture(path, picture, self._quality)

        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            written: Future[None] | None = None
            for batch, images in _ahead(reader, read, chunk.batches):
                pictures = _translated(generator, images, self._device, self._precision)
                if written is not None:
                    written.result()
                written = writer.submit(write, batch, pictures)
                done(len(batch))
            if written is not None:
                written.result()


def _translate_frames(
    stores: dict[str, FrameStore],
    folder: Path,
    translator: Callable[[], _Translator],
    runner: Runner | None,
) -> None:
    """Write the frames of ``stores`` that are not there yet, translated, into ``folder``."""
    chunks: list[Chunk] = []
    for domain, other in OTHER.items():
        store, out = stores[other], folder / f'synthetic_{domain}'
        out.mkdir(parents=True, exist_ok=True)
        wanted, share = missing_batches(store, _BATCH, partial(_is_made, out, store), runner)
        if runner is not None:
            chunks.extend(chunks_of(domain, store, out, wanted))
            continue
        left = sum(map(len, wanted))
        with tqdm(
            desc=out.name,
            unit='frame',
            total=share,
            initial=share - left,
            disable=world.rank() > 0,
        ) as bar:
            if wanted:
                translator()(Chunk(domain, store.folder, out, tuple(wanted)), bar.update)
    if runner is not None:
        spread(translator, chunks, runner)


@torch.inference_mode()
def _translated(
    generator: Generator,
    images: NDArray[np.uint8],
    device: torch.device,
    precision: str,
) -> NDArray[np.uint8]:
    """Pictures (B, H, W, 3) RGB of any size → translated."""
    height, width = images.shape[1:3]
    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    x = pad(x, (0, -width % Generator.stride, 0, -height % Generator.stride), mode='reflect')
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == 'bf16'):
        made: Tensor = generator(x)
    return to_picture(made[..., :height, :width])


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[_Item], _Value], items: Iterable[_Item]
) -> Iterator[tuple[_Item, _Value]]:
    """Each item and its value, while those of the next ones are already worked on."""
    begun: deque[tuple[_Item, Future[_Value]]] = deque()
    for item in items:
        begun.append((item, pool.submit(function, item)))
        if len(begun) > _READ_AHEAD:
            first, value = begun.popleft()
            yield first, value.result()
    for first, value in begun:
        yield first, value.result()


def _path(folder: Path, store: FrameStore, index: int) -> Path:
    return folder / f'{store.name(index)}.jpg'


def _is_made(folder: Path, store: FrameStore, index: int) -> bool:
    return _is_whole(_path(folder, store, index))


def _is_whole(path: Path) -> bool:
    """Whether a JPEG file begins and ends as one does: one that was cut short does not."""
    try:
        with path.open('rb') as file:
            begin = file.read(2)
            file.seek(-2, os.SEEK_END)
            return begin == b'\xff\xd8' and file.read(2) == b'\xff\xd9'
    except OSError:
        return False
