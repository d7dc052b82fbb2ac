"""Work for processes, in a module that they can import."""

import os
import signal


def make_doubler(bad):
    """A handler that doubles its task, but dies at the task ``bad``."""

    def handle(task):
        if task == bad:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * task

    return handle
