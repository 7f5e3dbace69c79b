"""The plant's end of a bridge for a loop that never waits: newest observation out, newest action in, with its age."""
from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from ._closes import Closes
from .client import Client
from .errors import ArgumentError, Error, ShapeError
from .wire import BridgeError, BridgeLost, BridgeTimeout

_PAUSE = 1.0  # seconds between two tries of what the library refuses


class Receiver(Closes):
    """A plant whose link runs on a thread of its own, as `eff_receiver` does in C (receiver.h).

        with Receiver("tcp://127.0.0.1:5555") as receiver:
            while True:
                receiver.post({"obs": observation})
                if (newest := receiver.latest()) is not None:
                    outputs, age = newest
                    apply(outputs["action"]) if age < 0.1 else hold()

    What is not answered is asked again with the same number, and runs once. A link that is silent is opened again. A
    dead link is noticed by age, here: what to do above which age is the caller's to decide. `close` ends the thread.

    retry      seconds after which a frame without an answer goes again
    timeout    seconds after which an observation without an answer gives way to a newer one
    lost       seconds of silence after which the link is opened again: longer than the slowest step
    ttl        age in seconds at which the library refuses an observation; 0: never

    The others are those of `efferent.Client`. Any thread may call, one at a time.
    """

    def __init__(self, endpoint: str, rows: int = 1, *, retry: float = 0.02, timeout: float = 0.1, lost: float = 1.0,
                 ttl: float = 0.0, **client: Any) -> None:
        for name, value in (("retry", retry), ("timeout", timeout), ("lost", lost)):
            if not 0 < value <= 3600:
                raise ArgumentError(f"{name} is {value} s, expected more than 0 and at most 3600")
        if not 0 <= ttl <= 4294:
            raise ArgumentError(f"ttl is {ttl} s, expected 0 to 4294")
        self.endpoint, self.rows = endpoint, rows
        self._timeout, self._lost, self._ttl = timeout, lost, ttl
        self._client_options = {**client, "retry": retry}
        self._changed = threading.Condition()
        self._closing = False
        self._episode = 0
        self._posted = None   # (arrays, when, episode), until it is sent
        self._newest = None   # (outputs, when its observation was posted, episode)
        self._client = None
        self._refusal = self._mistake = None
        # the frame that waits for its answer is a STEP; it gave way to a newer one
        self._is_step = self._gave_way = False
        names = ("connects", "losts", "posts", "superseded", "steps", "actions", "resets", "given_up")
        self._counts = dict.fromkeys(names, 0)
        self._refused = {}
        self._thread = threading.Thread(target=self._run, name="efferent-receiver", daemon=True)
        self._thread.start()

    # ---- the caller's side ----

    def post(self, arrays: dict[str, Any]) -> None:
        """Hands over the newest observation, `{name: [rows, ...]}`; it replaces one that has not gone out.

        ShapeError: an observation before this one did not fit the policy.
        """
        now = time.monotonic()
        arrays = {name: np.array(value) for name, value in arrays.items()}
        with self._changed:
            mistake, self._mistake = self._mistake, None
            if mistake is not None:
                raise mistake
            self._counts["posts"] += 1
            self._counts["superseded"] += self._posted is not None
            self._posted = (arrays, now, self._episode)
            self._changed.notify()

    def latest(self) -> tuple[dict[str, np.ndarray], float] | None:
        """The newest outputs and their age: the seconds since the observation that they answer was posted.

        None: no action of this episode has arrived yet.
        """
        newest = self._newest
        if newest is None or newest[2] != self._episode:
            return None
        return newest[0], time.monotonic() - newest[1]

    def reset(self) -> None:
        """Begins an episode: recurrent state is cleared before the next observation.

        From now on nothing of the episode before is used.
        """
        with self._changed:
            self._episode += 1
            self._changed.notify()

    @property
    def connected(self) -> bool:
        """Whether there is a bridge session."""
        return self._client is not None

    @property
    def welcome(self) -> Any:
        """What the library said of itself and its policy; None while there is no bridge session."""
        client = self._client
        return client.welcome if client is not None else None

    @property
    def refusal(self) -> Error | None:
        """Why the library refused the last frame; None where it did not. What is refused is tried again."""
        return self._refusal

    @property
    def stats(self) -> dict[str, Any]:
        """Counters since the beginning, as those of eff_receiver_stats; `refused` by reason."""
        with self._changed:
            return {**self._counts, "connected": self.connected, "refused": dict(self._refused)}

    def close(self) -> None:
        """Says BYE and ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    # ---- the link's thread ----

    def _run(self):
        client, sent, waiting = None, 0, None
        try:
            while not self._closing:
                try:
                    if client is None:
                        client, sent, waiting = self._connect(), 0, None
                        self._client = client
                        self._counts["connects"] += 1
                    work = self._next(sent)
                    if work is None:
                        continue
                    waiting = waiting or time.monotonic()
                    client.timeout = max(self._lost - (time.monotonic() - waiting), 0.001)
                    if work is True:
                        sent = self._reset(client)
                    else:
                        self._step(client, *work)
                    waiting = None
                    self._refusal = None
                except BridgeTimeout:
                    if client is None:
                        continue  # nobody listens yet
                    if self._gave_way:
                        self._counts["given_up"] += 1
                        continue
                    if time.monotonic() - waiting < self._lost:
                        # the library stands still, and the link has no place for more until it goes on
                        self._keep(work)
                        self._pause(self._client_options["retry"])
                        continue
                    client = self._disconnect(client)
                except BridgeLost as e:
                    self._refuse(e)
                    client = self._disconnect(client)
                except (ShapeError, ArgumentError) as e:
                    waiting = None
                    self._mistake = e
                except Error as e:
                    waiting = None
                    self._refuse(e)
                    if client is None or getattr(e, "reason", None) not in ("expired", "numeric", "run"):
                        client = self._disconnect(client)
                        self._pause(getattr(e, "retry_after", 0.0) or _PAUSE)
        except Exception as e:  # there is no caller to tell: the next post raises it
            self._mistake = e
            raise
        finally:
            self._client = None
            if client is not None:
                client.close()

    def _connect(self):
        # short tries, so that close need not wait
        made = Client(self.endpoint, self.rows, timeout=min(self._lost, 0.25), connect_timeout=min(self._lost, 0.25),
                      **self._client_options)
        made._gives_up = self._gives_up
        return made

    def _disconnect(self, client):
        self._client = None
        if client is not None:
            self._counts["losts"] += 1
            client.close()

    def _refuse(self, error):
        self._refusal = error
        reason = getattr(error, "reason", "malformed")
        self._refused[reason] = self._refused.get(reason, 0) + 1

    def _pause(self, seconds):
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _gives_up(self, seconds):
        """Whether the frame that waits for its answer gives way."""
        self._gave_way = self._closing or self._is_step and seconds >= self._timeout and self._posted is not None
        return self._gave_way

    def _next(self, sent):
        """What is to be sent next: True for RESET, an observation, or None where a while passed without either."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._episode != sent or self._posted is not None, 0.1)
            if self._closing:
                return None
            if self._episode != sent:
                return True
            posted, self._posted = self._posted, None
            if posted is not None and posted[2] != self._episode:
                self._counts["superseded"] += 1
                return None
            return posted

    def _keep(self, work):
        """An observation that could not be sent waits on, unless there is a newer one."""
        with self._changed:
            if work is True:
                return
            self._counts["steps"] -= 1
            if self._posted is None:
                self._posted = work
            else:
                self._counts["superseded"] += 1

    def _reset(self, client):
        wanted, self._is_step, self._gave_way = self._episode, False, False
        client._episode = wanted - 1  # those of the link count as the caller's do
        client.reset()
        self._counts["resets"] += 1
        return wanted

    def _step(self, client, arrays, when, episode):
        self._counts["steps"] += 1
        self._is_step, self._gave_way = True, False
        outputs = client.step(arrays, ttl=self._ttl)
        self._newest = (outputs, when, episode)
        self._counts["actions"] += 1
