"""Open load's visits: users are made for them, and perform one task each. (Locust's own users do nothing.)"""

import logging
import traceback
from collections.abc import Callable
from typing import Any

import gevent
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, DefaultTaskSet

from loadtests.generator.generator import Generator
from loadtests.generator.tasks import perform_once

log = logging.getLogger(__name__)


class Visiting:
    """Makes and moves the users of one load. `end` is called, in a greenlet, if one of them ends the test."""

    def __init__(self, environment: Any, generator: Generator, end: Callable[[], object]) -> None:
        self._environment = environment
        self._generator = generator
        self._end = end

    def make(self, user_class: Any) -> Any:
        """Create a user for visits and run its on_start(). Raises what that raises."""
        environment = self._environment
        user_class.host = environment.host or user_class.host  # Locust sets it only after a test has started
        user = user_class(environment)
        user._state, user._taskset_instance = LOCUST_STATE_RUNNING, DefaultTaskSet(user)
        try:
            user.on_start()
        except StopTest:
            gevent.spawn(self._end)
            raise
        except Exception as error:
            _failed(user, error)
            raise
        return user

    def perform(self, user: Any, task: Any) -> None:
        """Let `user` perform `task`, as one visit."""
        try:
            perform_once(user, task)
        except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser):
            pass  # the ways to end a task early
        except StopTest:
            gevent.spawn(self._end)
        except Exception as error:
            _failed(user, error)
            self._generator.failed_to_begin(user, str(error) or type(error).__name__)


def _failed(user: Any, error: Exception) -> None:
    log.error("%s\n%s", error, traceback.format_exc())
    user.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
