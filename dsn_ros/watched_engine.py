"""An engine under watch: what raises is tried again, what hangs is left behind and replaced.

A native call that hangs can't be ended from inside its process. It is left alone in its thread,
with the engine that it holds, and a fresh engine is loaded in a new thread; if the call ends after
all, its thread closes the engine that it had. docs/reliability.md says why not a process.
"""

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from dsn_core.metadata import ModelMetadata, Size
from dsn_ros.engines import Engine, Prediction

__all__ = ['DOWN', 'FAILED', 'HUNG', 'NO_MEMORY', 'NoAnswerError', 'WatchedEngine', 'left_behind']

FAILED = 'engine failed'
HUNG = 'engine hung'
NO_MEMORY = 'out of memory'
DOWN = 'engine is being restarted'

FAILURES = 3  # in a row, upon which the engine is loaded anew
MOST_STUCK = 3  # each holds the memory of an engine
LOADING = 300.0  # seconds; what TensorRT may take to build an engine again
LONGEST_PAUSE = 60.0  # seconds between two tries to load one that does not help
CLOSING = 5.0  # seconds that closing an engine may take before it is left to itself
_THREAD = 'engine'
_POLL = 0.1  # seconds

# What the libraries say, in lower case: CUDA, TensorRT, PyTorch, ONNX Runtime, C++, the system.
_NO_MEMORY_WORDS = (
    'out of memory',
    'out_of_memory',
    'outofmemory',
    'bad_alloc',
    'bad allocation',
    'failed to allocate',
    'cannot allocate memory',
)

_logger = logging.getLogger(__name__)
Answer = concurrent.futures.Future[Prediction]


class NoAnswerError(Exception):
    """An answer that did not come; ``reason`` is what it is counted by."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class WatchedEngine:
    """Answers like the engine that ``load`` makes, for as long as one can be made.

    ``timeout()``: seconds that an answer may take, 0: any time; asked before each. ``wanted()``:
    whether it is still wanted, asked while the first engine is being loaded. ``infer`` is for one
    thread, all else for any.

    Attributes:
        restarts: engines that were made to replace another one.
        trouble: why there are no answers now, '' if there are.
        one_by_one: whether pictures go through singly, since the memory holds no more.

    """

    def __init__(
        self,
        load: Callable[[], Engine],
        timeout: Callable[[], float] = lambda: 0.0,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Load the first engine; raises what ``load`` does, RuntimeError if it is not wanted."""
        self._load = load
        self._timeout = timeout
        self.restarts = 0
        self.trouble = ''
        self.one_by_one = False
        self._failures = self._tries = 0
        self._not_before = 0.0
        self._answer: Answer | None = None
        self._stuck: list[_Runner] = []
        self._runner: _Runner | None = _Runner(load)
        while not self._runner.loaded.wait(_POLL):
            if not wanted():
                self._runner.leave()
                raise RuntimeError('stopped while the engine was being loaded')
        if self._runner.error is not None:
            raise self._runner.error
        assert self._runner.engine is not None
        self._engine = self._runner.engine

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def device(self) -> str:
        return self._engine.device

    @property
    def precision(self) -> str:
        return self._engine.precision

    @property
    def metadata(self) -> ModelMetadata:
        return self._engine.metadata

    def size_for(self, height: int, width: int) -> Size:
        """As ``Engine.size_for``."""
        return self._engine.size_for(height, width)

    @property
    def stuck(self) -> int:
        """Calls that were left behind and hang still."""
        return sum(each.alive for each in self._stuck)

    def infer(self, images: NDArray[np.uint8]) -> Prediction:
        """Answer to ``images`` (N, H, W, 3) as ``Engine.infer`` does; raises NoAnswerError."""
        if self.one_by_one and len(images) > 1:
            return self._singly(images)
        runner = self._ready()
        seconds = self._timeout()
        size = images.shape[1:3]
        if seconds and size not in (self.metadata.size, *runner.answered_at):
            seconds = max(seconds, LOADING)  # an engine for this size has to be made first
        answer = self._answer = runner.ask(images)
        try:
            error = answer.exception(seconds or None)
        except concurrent.futures.TimeoutError:
            raise self._hung(f'the engine gave no answer in {seconds:g} s') from None
        if isinstance(error, _StoppedError):
            raise self._hung('the engine gave no answer before it was stopped') from None
        if error is None:
            runner.answered_at.add(size)
            self._failures = self._tries = 0
            self.trouble = ''
            return answer.result()
        if _out_of_memory(error) and len(images) > 1:
            self.one_by_one = True
            _logger.warning('out of memory: pictures go through the engine one by one (%s)', error)
            return self._singly(images)
        raise self._failed(error) from error

    def interrupt(self) -> None:
        """Let a call of ``infer`` that waits for its answer give it up now."""
        answer = self._answer
        if answer is not None:
            _settle(answer, _StoppedError())

    def close(self) -> None:
        """Give back the engine; what hangs keeps its own, see ``left_behind``."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.leave()
            runner.join(CLOSING)

    def _singly(self, images: NDArray[np.uint8]) -> Prediction:
        answers = [self.infer(images[i : i + 1]) for i in range(len(images))]
        return Prediction(*(np.concatenate(maps) for maps in zip(*answers, strict=True)))

    def _ready(self) -> '_Runner':
        """The runner whose engine is loaded; raises NoAnswerError where there is none yet."""
        if self._runner is None:
            self._restart()
        runner = self._runner
        if runner is None:
            raise NoAnswerError(DOWN, self.trouble)
        if not runner.loaded.is_set():
            if runner.seconds > LOADING:
                self._give_up(f'the engine was not loaded in {LOADING:g} s')
                self._stuck.append(runner)
            raise NoAnswerError(DOWN, self.trouble)
        engine, error = runner.engine, runner.error
        if engine is not None and not _same_model(engine.metadata, self.metadata):
            error = RuntimeError(
                'the file of the model holds another one by now: call ~/reload_model'
            )
        if engine is None or error is not None:
            self._give_up(f'the engine does not load: {error}')
            raise NoAnswerError(DOWN, self.trouble)
        self._engine = engine
        return runner

    def _hung(self, what: str) -> NoAnswerError:
        if self._runner is not None:
            self._stuck.append(self._runner)
        self._give_up(what)
        self._restart()
        return NoAnswerError(HUNG, what)

    def _failed(self, error: BaseException) -> NoAnswerError:
        self._failures += 1
        said = f'{type(error).__name__}: {error}'
        if self._failures >= FAILURES:
            self._failures = 0
            self._give_up(f'the engine failed {FAILURES} times in a row, the last time: {said}')
            self._restart()
        return NoAnswerError(NO_MEMORY if _out_of_memory(error) else FAILED, said)

    def _give_up(self, why: str) -> None:
        """Part with the runner there is, and say when another one may be tried."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.leave()
        pause = min(2.0**self._tries - 1, LONGEST_PAUSE)
        self._not_before = time.monotonic() + pause
        self._tries += 1
        self.trouble = f'{why}; it is being restarted'
        _logger.error('%s', self.trouble)

    def _restart(self) -> None:
        """Begin to load another engine, if it is time and there is room for one."""
        self._stuck = [each for each in self._stuck if each.alive]
        if len(self._stuck) >= MOST_STUCK:
            self.trouble = (
                f'{len(self._stuck)} calls of the engine hang and hold its memory: '
                'restart the node'
            )
        elif time.monotonic() >= self._not_before:
            self.restarts += 1
            self._runner = _Runner(self._load)


class _Runner:
    """A thread that loads an engine, answers with it, and closes it in the end."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self.loaded = threading.Event()  # or failed to
        self.engine: Engine | None = None
        self.error: Exception | None = None
        self.answered_at: set[tuple[int, ...]] = set()  # sizes of pictures, beside the model's
        self._since = time.monotonic()
        self._calls: SimpleQueue[tuple[NDArray[np.uint8], Answer] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(load,), name=_THREAD, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._since

    def ask(self, images: NDArray[np.uint8]) -> Answer:
        answer: Answer = concurrent.futures.Future()
        self._calls.put((images, answer))
        return answer

    def leave(self) -> None:
        """Let it close its engine and end, as soon as it can."""
        self._calls.put(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self, load: Callable[[], Engine]) -> None:
        try:
            self.engine = load()
        except Exception as error:
            self.error = error
            return
        finally:
            self.loaded.set()
        while (call := self._calls.get()) is not None:
            images, answer = call
            try:
                _settle(answer, self.engine.infer(images))
            except Exception as error:
                _settle(answer, error)
        try:
            self.engine.close()
        except Exception:
            _logger.exception('the engine could not be closed')


class _StoppedError(Exception):
    """Somebody did not want to wait any longer."""


def left_behind() -> bool:
    """Whether threads of engines are alive in this process, which then can't end in peace.

    Their libraries are taken down under them: leave such a process with ``os._exit``.
    """
    return any(each.name == _THREAD for each in threading.enumerate())


def _settle(answer: Answer, outcome: Prediction | Exception) -> None:
    """Set what came out, unless something has by now: an interrupt and an answer can meet."""
    try:
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
    except concurrent.futures.InvalidStateError:
        pass


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(word in text for word in _NO_MEMORY_WORDS)


def _same_model(one: ModelMetadata, other: ModelMetadata) -> bool:
    """Whether who works with the answers of the one can go on with those of the other."""
    names = ('size', 'class_names', 'scale', 'focal_length', 'checkpoint_sha256')
    return all(getattr(one, name) == getattr(other, name) for name in names)
