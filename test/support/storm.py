"""The node's lifecycle in a storm: what it leaves behind after many turns."""

from support.perception_process import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    PerceptionProcess,
    Robot,
)

SETTLED = 5  # turns after which caches are full


def storm(folder, turns, say):
    """Configure, activate, deactivate and clean up ``turns`` times, with the shipped weights."""
    process = PerceptionProcess(folder)
    robot = Robot(process.domain)
    rows = []
    try:
        for turn in range(turns):
            for number in (CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP):
                assert robot.transition(number), process.said
            robot.spin(0.3)  # a thread that has ended is there a moment longer
            subscribed = robot.node.get_subscriber_names_and_types_by_node('perception', '/')
            rows.append({**process.held(), 'subscriptions': len(subscribed)})
            say(f'\r{turn + 1} of {turns} turns: {rows[-1]}   ')
        code = process.stop(times=2, pause=0.02)
        return {'turns': turns, 'settled': rows[SETTLED - 1], 'end': rows[-1], 'exit_code': code}
    finally:
        robot.close()
        process.close()
