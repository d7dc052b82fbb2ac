"""``dsn train`` in processes of their own, forked from one that has imported PyTorch."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload(
    ['torch', 'lightning', 'onnxscript', 'dsn_ros.cli', 'dsn_ros.train', 'support.train_scene']
)


class ForkedTrain:
    """A run of ``dsn train`` with the kinds of ``train_scene``, in one thread."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        self._process = _context.Process(target=_train, args=(list(arguments), str(log)))
        self._process.start()

    @property
    def said(self) -> str:
        """All its output."""
        return self._log.read_text() if self._log.exists() else ''

    @property
    def code(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.exitcode

    def wait(self, seconds: float) -> None:
        self._process.join(seconds)
        if self.code is None:
            self.kill()
            raise TimeoutError(f'{seconds} s: {self.said[-3000:]}')

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.join()
        assert self.code == -signal.SIGKILL


def _train(arguments: list[str], log: str) -> None:
    import torch

    import support.train_scene  # noqa: F401  brings its kinds
    from dsn_ros.cli import main

    with open(log, 'w') as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    torch.set_num_threads(1)  # sums in the same order every time
    sys.argv = ['dsn', 'train', *arguments]
    main()
