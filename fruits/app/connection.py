"""A connection to a client that may be slow, wrong or hostile: what uvicorn's own leaves without an end gets one.

uvicorn ends connections that are idle after an answer. It waits for ever for the rest of a request's head, for the rest
of a body that nobody wants, and for a client that does not take its answer; and it has no limit of connections but one
that answers without our headers, and only who has sent a request.
"""

import json
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fruits.app.guard import HEADERS

CONNECTIONS = 128
"""Connections at once. A process may have 256 open files where nobody has raised that, as on macOS."""

CONNECTIONS_EACH = 48
"""Connections at once from one address: a browser opens six."""

SECONDS = 20.0
"""Time for whatever is no upload: to send a request's head, to take an answer, to end after that."""

_OPEN = (h11.IDLE, h11.SEND_RESPONSE)  # an answer can be begun


class Connection(H11Protocol):
    """See uvicorn's; each wait for the client has an end."""

    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin, or say that there are too many."""
        super().connection_made(transport)
        of_this = sum(1 for other in self.connections if _address(other) == _address(self))
        if len(self.connections) > CONNECTIONS or of_this > CONNECTIONS_EACH:
            self._refuse(503, "Too many ask at the same time. Try again in a moment.", ("Retry-After", "2"))
        else:
            self._within(SECONDS, self._give_up_on_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what was received; from a whole head to the end of its answer the application watches the time."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._leave_to_application()

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._within(SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, for it has."""
        self._cancel()
        super().resume_writing()
        if self.cycle is not None and self.cycle.response_complete:
            self._within(SECONDS, self.transport.abort)

    def on_response_complete(self) -> None:
        """Give the client time to take the answer, to send what it still sends, and to begin its next request."""
        answered = self.cycle
        self._within(SECONDS, self.transport.abort)
        super().on_response_complete()
        if self.cycle is not answered:  # its next request was here already
            self._leave_to_application()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are no sentence
        """Say that a request is not understood, unless something was said already."""
        self._refuse(400, "This is no HTTP request, or a broken one.")

    def _leave_to_application(self) -> None:
        if self.flow.write_paused:  # by the answer before this one
            self._within(SECONDS, self.transport.abort)
        else:
            self._cancel()

    def _give_up_on_head(self) -> None:
        self._refuse(408, f"The request did not arrive within {SECONDS:.0f} seconds.")

    def _refuse(self, status: int, words: str, *more: tuple[str, str]) -> None:
        """Answer without the application, and end the connection."""
        if self.transport.is_closing():
            return
        if self.conn.our_state not in _OPEN or (self.cycle is not None and self.cycle.response_started):
            self.transport.abort()
            return
        body = json.dumps({"error": words}).encode()
        kind, length = ("Content-Type", "application/json"), ("Content-Length", str(len(body)))
        headers = [kind, length, ("Connection", "close"), *HEADERS.items(), *more]
        answer = h11.Response(status_code=status, headers=headers)
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()
        if self.cycle is not None:  # the application, which still waits for the rest, has nobody to answer
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._within(SECONDS, self.transport.abort)  # who does not take even that

    def _within(self, seconds: float, otherwise: Callable[[], None]) -> None:
        self._cancel()
        self._timer = self.loop.call_later(seconds, otherwise)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _address(connection: object) -> str | None:
    """Where a connection comes from; of IPv6 the network, for whoever has one has all its addresses."""
    client = cast(Connection, connection).client
    if client is None:
        return None
    return ":".join(client[0].split(":")[:4]) if ":" in client[0] else client[0]
