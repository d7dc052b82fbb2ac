"""Writes simulated drives as folders: pictures, depth, labels, instances, poses."""

import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dsn_core.errors import UserError
from dsn_core.labels import CITYSCAPES
from dsn_core.simulation.drive import SimulatedDrive
from dsn_core.simulation.options import CONDITIONS, SimulationError, SimulationOptions
from dsn_core.simulation.stage import load_mujoco

__all__ = ['FORMAT_VERSION', 'draw_all', 'drive_name', 'simulate', 'split_of']

FORMAT_VERSION = 2
"""Of the drives' folders and of what is drawn; 2: instances, the car's motion, drops, mirrors."""
Progress = Callable[[int, int], None]
"""Called with (drives done, drives in all)."""


def split_of(seed: int) -> str:
    """Return the split of a town: train (seed % 10 in 0 to 7), validation (8), test (9)."""
    last = seed % 10
    return 'train' if last < 8 else 'validation' if last == 8 else 'test'


def drive_name(seed: int, condition: str) -> str:
    """Name of a drive's folder, such as town000123_night."""
    return f'town{seed:06d}_{condition}'


def simulate(
    out: Path,
    seeds: Iterable[int],
    conditions: Sequence[str] = CONDITIONS,
    frames: int = 24,
    options: SimulationOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    gpus: Sequence[int] = (),
) -> list[Path]:
    """Write one folder per seed and condition below ``out``; returns them all, in order.

    A folder appears when it is whole; those that are there already are left as they are, so an
    interrupted run goes on where it was. ``gpus``: see :func:`draw_all`. Raises SimulationError
    where MuJoCo is missing or cannot draw, UserError where ``out`` cannot be written.
    """
    load_mujoco()  # say that it is missing before any work
    if frames < 1:
        raise SimulationError(f'frames = {frames}: must be at least 1')
    for condition in conditions:
        if condition not in CONDITIONS:
            raise SimulationError(f'condition {condition!r}: choose from {", ".join(CONDITIONS)}')
    options = options or SimulationOptions()
    out = Path(out)
    jobs = [(out, s, c, frames, options) for s in seeds for c in conditions]
    folders = [out / drive_name(s, c) for _, s, c, _, _ in jobs]
    missing = [
        job
        for job, folder in zip(jobs, folders, strict=True)
        if not (folder / 'drive.json').is_file()
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for job in missing:
            _sweep(out, drive_name(job[1], job[2]))
        draw_all(_write, missing, workers, gpus, len(jobs), progress)
    except OSError as error:
        raise UserError(
            f'{out} cannot be written ({error.strerror or error}): make room there or choose '
            'another folder; what is whole stays and is not drawn again'
        ) from error
    return folders


def draw_all(
    draw: Callable[[Any], object],
    jobs: Sequence[Any],
    workers: int,
    gpus: Sequence[int],
    total: int,
    progress: Progress | None,
) -> None:
    """Call ``draw`` (a function of a module) for every job, in ``workers`` processes.

    ``gpus``: EGL devices the workers take turns with, one each (MUJOCO_EGL_DEVICE_ID); none: the
    one of the environment, or the first that works. ``progress`` is told (done, ``total``); what
    of ``total`` is no job was done before.
    """
    done = total - len(jobs)

    def count(drawn: Iterable[object]) -> None:
        for number, _ in enumerate(drawn, done + 1):
            if progress is not None:
                progress(number, total)

    if workers <= 1 and not gpus:
        count(map(draw, jobs))
    elif jobs:
        context = multiprocessing.get_context('spawn')  # OpenGL contexts don't survive a fork
        turns = context.Queue()
        for k in range(workers):
            turns.put(gpus[k % len(gpus)] if gpus else None)
        with ProcessPoolExecutor(workers, context, _worker, (turns,)) as pool:
            running = [pool.submit(draw, job) for job in jobs]
            try:
                count(future.result() for future in as_completed(running))
            except BrokenProcessPool as error:
                raise SimulationError(
                    'a process that draws was killed (out of memory?) or could not start: run '
                    'again, with fewer workers; it goes on where it was'
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _worker(turns: 'Queue[int | None]') -> None:
    """One thread per worker: the workers themselves fill the cores."""
    cv2.setNumThreads(1)
    os.environ.setdefault('LP_NUM_THREADS', '1')
    threading.Thread(target=_follow_parent, daemon=True).start()
    gpu = turns.get()
    if gpu is not None:
        os.environ['MUJOCO_EGL_DEVICE_ID'] = str(gpu)


def _follow_parent() -> None:
    """End this process with its parent, which may be killed without a word."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _sweep(out: Path, name: str) -> None:
    """Remove what killed runs left of the drive ``name``; a living one's part is left alone."""
    for part in out.glob(f'.{name}.*.part'):
        try:
            os.kill(int(part.name.split('.')[-2]), 0)
        except (ValueError, ProcessLookupError):
            shutil.rmtree(part, ignore_errors=True)
        except PermissionError:  # somebody else's, alive
            continue


def _write(job: tuple[Path, int, str, int, SimulationOptions]) -> None:
    out, seed, condition, frames, options = job
    final = out / drive_name(seed, condition)
    part = out / f'.{final.name}.{os.getpid()}.part'
    shutil.rmtree(part, ignore_errors=True)
    for name in ('image', 'depth', 'labels', 'instances'):
        (part / name).mkdir(parents=True)
    drive = SimulatedDrive(seed, condition, options)
    rows, segments, speeds = [], [], []
    for frame in drive.frames(frames):
        name = f'{frame.index:06d}'
        _save(
            part / 'image' / f'{name}.jpg', frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        metres = np.where(np.isfinite(frame.depth), frame.depth, 0.0)
        coded = np.clip(np.rint(metres * 256.0), 0, 65535).astype(np.uint16)
        _save(part / 'depth' / f'{name}.png', coded, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        _save(part / 'labels' / f'{name}.png', frame.labels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
        _save(
            part / 'instances' / f'{name}.png', frame.instances, [cv2.IMWRITE_PNG_COMPRESSION, 6]
        )
        rows.append(' '.join(f'{v:.9g}' for v in frame.camera_to_world[:3].ravel()))
        segments.append(frame.segment)
        speeds.append(frame.speed)
    (part / 'poses.txt').write_text('\n'.join(rows) + '\n')
    about: dict[str, Any] = {
        'format_version': FORMAT_VERSION,
        'seed': seed,
        'condition': condition,
        'split': split_of(seed),
        'fps': options.fps,
        'frames': frames,
        'intrinsics': drive.intrinsics.to_dict(),
        'camera_height': drive.camera_height,
        'pitch': drive.pitch,
        'roll': drive.roll,
        'depth_scale': 256,
        'max_depth': options.max_depth,
        'segments': segments,
        'speeds': speeds,
        'class_names': list(CITYSCAPES.names),
    }
    (part / 'drive.json').write_text(json.dumps(about, indent=1) + '\n')
    shutil.rmtree(final, ignore_errors=True)  # a folder without drive.json, from elsewhere
    part.rename(final)


def _save(path: Path, picture: Any, flags: list[int]) -> None:
    if not cv2.imwrite(str(path), picture, flags):
        raise OSError(f'cannot write {path}: is the disk full?')
