"""What each stage around the network costs, on a machine that does other things as well.

    python test/stage_costs.py [--rounds 40]

The least CPU time of many rounds, each stage called directly in one thread: what `dsn bench path`
measures as it comes, with waiting, threads and whatever else runs, is then told apart from what
the code itself takes. Pictures of 1280 x 720 in, every output out; the network answers once.
"""

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2

from dsn_ros.bench.journey import CASES, _camera, _messages
from dsn_ros.bench.worlds import World
from dsn_ros.engines import load_engine
from dsn_ros.message_builders import BagMessages
from dsn_ros.messages import compressed_to_rgb, image_to_rgb
from dsn_ros.obstacles import ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.output_messages import output_messages
from dsn_ros.pipeline import Frame, Pipeline

SIZE = (720, 1280)
INSIDE = ('sanity', 'scale', 'light', 'finish')  # stages that the pipeline times itself
now = time.thread_time


def stages_of(case, engine, world, rounds):
    """{stage: least CPU seconds of all rounds}."""
    camera = _camera(SIZE, case.lens)
    metadata = engine.metadata
    stand_in = SimpleNamespace(metadata=metadata, size_for=engine.size_for)
    pipeline = Pipeline(stand_in, case.options)
    is_obstacle = obstacle_classes(metadata.class_names)
    decode = compressed_to_rgb if case.jpeg else image_to_rgb
    messages = [world.deserialize(data, kind) for kind, data in _messages(world, SIZE, case.jpeg)]
    answers = {}
    least = defaultdict(lambda: float('inf'))

    def took(stage, seconds):
        least[stage] = min(least[stage], seconds)

    def timed(stage, function, *arguments):
        start = now()
        result = function(*arguments)
        took(stage, now() - start)
        return result

    for number in range(rounds):
        which = number % 2  # a picture that stays the same would be withheld
        image = timed('decode', decode, messages[which])
        frame = Frame(image, (number + 1) * 10**8, 'camera', camera)
        shown = timed('resize', pipeline.show, frame)
        if which not in answers:
            answers[which] = engine.infer(shown.image[None])
        clock, time.perf_counter = time.perf_counter, now
        try:
            seen = pipeline.finish(shown, answers[which], 0, 0.0)
        finally:
            time.perf_counter = clock
        for stage in INSIDE:
            took(stage, seen.latency_ms[stage] * 1e-3)
        parts, start = defaultdict(float), now()
        for topic, message in output_messages(
            seen,
            world.build,
            lambda _: True,
            lambda seen: obstacle_cloud(seen, is_obstacle, ObstacleOptions()),
        ):
            made = now()
            world.serialize(message)
            stage = topic.split('/')[0]
            parts['maps' if stage in ('depth', 'labels') else stage] += made - start
            start = now()
            parts['serialize'] += start - made
        for stage, seconds in parts.items():
            took(stage, seconds)
    return dict(least)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=40)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    messages = BagMessages()
    world = World('rosbags', messages, messages.serialize, messages.store.deserialize_cdr)
    with load_engine() as engine:
        found = {case.name: stages_of(case, engine, world, rounds) for case in CASES}
    rows = [['stage', *found], ['---', *('---:' for _ in found)]]
    for stage in next(iter(found.values())):
        rows.append([stage, *(f'{costs[stage] * 1e3:.2f}' for costs in found.values())])
    rows.append(['all', *(f'{sum(costs.values()) * 1e3:.2f}' for costs in found.values())])
    sys.stdout.writelines(f'| {" | ".join(row)} |\n' for row in rows)


if __name__ == '__main__':
    main()
