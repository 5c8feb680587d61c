"""Makes each request of a Locust user a row from the moment it is sent, even if no answer ever comes."""

import functools
from collections.abc import Callable
from typing import Any

import gevent
from gevent import GreenletExit

from loadtests.generator.faults import out_of_files
from loadtests.generator.generator import Generator
from loadtests.generator.recorder import Pending, error_words
from loadtests.generator.resending import attempts

OURS = "loadtests request"  # the key in a request's context, which Locust passes to `answered`

Current = Callable[[], Generator | None]  # the generator that records now, if a test runs


def recorded(send: Callable[..., Any], context_at: int, current: Current) -> Callable[..., Any]:
    """Wrap a session's `request` method to leave a row. `context_at`: the index of `context` in `args`."""

    @functools.wraps(send)
    def request(session: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        generator = current()
        if generator is None:
            return send(session, method, url, *args, **kwargs)
        if len(args) > context_at:  # `context` is the last argument that may be positional
            kwargs["context"], args = args[context_at], args[:context_at]
        context = kwargs.get("context") or {}
        name = kwargs.get("name") or (args[0] if args else None) or session.request_name or url
        name = f"{method} {name}"
        pending = generator.begin(session.user, str(context.get("group") or name), name)
        kwargs["context"] = {**context, OURS: pending}
        try:
            with attempts(generator.recorder, pending):
                response = send(session, method, url, *args, **kwargs)
        except (Exception, gevent.Timeout) as error:
            pending.error = error_words(error, 0)
            generator.recorder.end(pending, settled=True)
            if out_of_files(error):
                generator.recorder.not_sent(pending)
            raise
        except GreenletExit:
            generator.recorder.cut_off(pending)
            raise
        generator.recorder.end(pending)
        if out_of_files(getattr(response, "error", None)):
            generator.recorder.not_sent(pending)
        pending.status = response.status_code or 0
        if pending.error is None and (pending.status == 0 or pending.status >= 400):
            # Provisional: the end of its `with` block, if it has one, may say otherwise.
            pending.error = error_words(getattr(response, "error", None), pending.status)
        return response

    return request


def answered(
    generator: Generator,
    exception: BaseException | None = None,
    context: dict[str, Any] | None = None,
    response_time: float = 0.0,
    **said: Any,
) -> None:
    """Take in Locust's report of a finished request: one of ours, or of a client that reports only now."""
    pending: Pending | None = context.pop(OURS, None) if context else None
    if pending is None:
        name = f"{said.get('request_type')} {said.get('name')}"
        pending = generator.begin(None, str((context or {}).get("group") or name), name)
        pending.intended = pending.sent = max(0.0, generator.recorder.now() - (response_time or 0.0) / 1000)
    generator.recorder.end(pending)
    pending.status = getattr(said.get("response"), "status_code", None) or pending.status
    pending.error = error_words(exception, pending.status) if exception else ""
    pending.settled = True
