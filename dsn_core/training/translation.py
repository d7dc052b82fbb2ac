"""Stage translate: CycleGAN trained on the frames of both domains, then every frame translated."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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
from dsn_core.training import world
from dsn_core.training.cyclegan import OTHER, CycleGanStage, to_picture
from dsn_core.training.fit import fit
from dsn_core.training.frame_store import FrameStore, write_picture
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
) -> dict[str, float]:
    """Train the generators and translate all frames of both domains at their full size.

    Leaves ``generators.safetensors`` (unless ``config.generators`` are used) and, named as the
    frames are, ``synthetic_night/NNNNNN.jpg`` of the day frames and ``synthetic_day`` of the night
    frames in ``folder``. Goes on from what is there, which must be of these frames and settings;
    several processes train together and share the frames. Returns the last training losses.

    Raises UserError naming what cannot be used, KeyboardInterrupt if training was stopped.
    """
    stores = {'day': day, 'night': night}
    path = config.generators or folder / GENERATORS
    if config.generators is None and not path.exists():
        trained = _train(stores, folder, config, settings, seed, log)
        if world.rank() == 0:
            trained.save(path)
    world.barrier()
    generators = Generators.load(path)
    for domain, other in OTHER.items():
        generator = generators.networks[domain]
        assert isinstance(generator, Generator)
        out = folder / f'synthetic_{domain}'
        _translate_frames(generator, stores[other], out, config.jpeg_quality, settings)
    return generators.losses


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
    stage = CycleGanStage(config, epoch_steps, settings, seed)
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


def _translate_frames(
    generator: Generator, store: FrameStore, out: Path, quality: int, settings: TrainerConfig
) -> None:
    """Write this process's share of ``store``'s frames, translated, into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device(world.device())
    generator = generator.eval().to(device)
    # A batch is always of the same frames, however many are missing or processes there are: what
    # is made again comes out the same.
    batches = [range(i, min(i + _BATCH, len(store))) for i in range(0, len(store), _BATCH)]
    paths = [out / f'{store.name(i)}.jpg' for i in range(len(store))]
    share = [batches[b] for b in world.share(len(batches))]
    wanted = [b for b in share if not all(_is_whole(paths[i]) for i in b)]

    def read(batch: range) -> NDArray[np.uint8]:
        return np.stack([store.image(i) for i in batch])

    def write(batch: range, pictures: NDArray[np.uint8]) -> None:
        for i, picture in zip(batch, pictures, strict=True):
            if not _is_whole(paths[i]):
                write_picture(paths[i], picture, quality)

    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
        tqdm(
            desc=out.name,
            unit='frame',
            total=sum(map(len, share)),
            initial=sum(map(len, share)) - sum(map(len, wanted)),
            disable=world.rank() > 0,
        ) as bar,
    ):
        written: Future[None] | None = None
        for batch, images in _ahead(reader, read, wanted):
            pictures = _translated(generator, images, device, settings.precision)
            if written is not None:
                written.result()
            written = writer.submit(write, batch, pictures)
            bar.update(len(batch))
        if written is not None:
            written.result()


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


def _is_whole(path: Path) -> bool:
    """Whether a JPEG file begins and ends as one does: one that was cut short does not."""
    try:
        with path.open('rb') as file:
            begin = file.read(2)
            file.seek(-2, os.SEEK_END)
            return begin == b'\xff\xd8' and file.read(2) == b'\xff\xd9'
    except OSError:
        return False
