"""A page without a browser: what viser's page says and hears over its websocket, for tests and benchmarks/viewer.py."""

from __future__ import annotations

import io
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


@dataclass
class Shown:
    """A picture that the page was sent.

    Attributes:
        at: time.monotonic() of its coming.
        jpeg: its bytes.
    """

    at: float
    jpeg: bytes

    @property
    def image(self) -> np.ndarray:
        """(height, width, 3), uint8."""
        return np.asarray(Image.open(io.BytesIO(self.jpeg)).convert("RGB"))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return Image.open(io.BytesIO(self.jpeg)).size


def quaternion(rotation: np.ndarray) -> tuple[float, ...]:
    """w, x, y, z of a rotation matrix whose trace is above -1, or of one that is turned by half."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return float(w), float(x), float(y), float(z)


def looking_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> tuple[float, ...]:
    """Quaternion of a camera (OpenCV: x right, y down, z ahead) that looks from a place at another."""
    ahead = (target - position) / np.linalg.norm(target - position)
    right = np.cross(ahead, up)
    right /= np.linalg.norm(right)
    return quaternion(np.stack([right, np.cross(ahead, right), ahead], axis=1))


@dataclass
class PageClient:
    """Connects, says where its camera is, and keeps what it is sent."""

    port: int
    aspect: float = 16 / 9
    frames: list[Shown] = field(default_factory=list)
    texts: list[tuple[float, str]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    is_open: bool = False

    def __enter__(self) -> PageClient:
        until = time.monotonic() + 30
        while True:
            try:
                self._socket = connect(f"ws://127.0.0.1:{self.port}", max_size=None)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        self.is_open, self.begun = True, time.monotonic()
        self.position, self.target, self.up = np.array([4.0, 0, 0]), np.zeros(3), np.array([0.0, 0, 1])
        self.fov = 1.0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.look()
        return self

    def __exit__(self, *_: Any) -> None:
        self.is_open = False
        self._socket.close()
        self._thread.join(30)

    def look(self, position: np.ndarray | None = None) -> None:
        """Say where the camera is, now perhaps at another place."""
        if position is not None:
            self.position = position
        self.send(
            type="ViewerCameraMessage",
            wxyz=looking_at(self.position, self.target, self.up),
            position=tuple(map(float, self.position)),
            fov=float(self.fov),
            aspect=self.aspect,
            look_at=tuple(map(float, self.target)),
            up_direction=tuple(map(float, self.up)),
        )

    def orbit(self, degrees: float) -> None:
        """Turn about the target."""
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        self.look(self.target + turn @ (self.position - self.target))

    def send(self, **message: Any) -> None:
        """Send a message of viser's, in its own names."""
        self._socket.send(msgspec.msgpack.encode(message))

    def _read(self) -> None:
        try:
            while self.is_open:
                raw = self._socket.recv()
                decoded = msgspec.msgpack.decode(raw)
                for message in decoded if isinstance(decoded, list | tuple) else [decoded]:
                    self._take(message)
        except (ConnectionClosed, OSError):
            self.is_open = False

    def _take(self, message: dict[str, Any]) -> None:
        kind, now = message.get("type"), time.monotonic()
        if kind == "BackgroundImageMessage":
            self.frames.append(Shown(now, message["rgb_bytes"]))
        elif kind == "NotificationMessage":
            self.notes.append(message)
        elif kind in ("SetCameraPositionMessage", "SetCameraLookAtMessage", "SetCameraUpDirectionMessage"):
            # A browser does as it is told, and says so.
            name = {"P": "position", "L": "target", "U": "up"}[kind.removeprefix("SetCamera")[0]]
            value = next(value for key, value in message.items() if key != "type")
            setattr(self, name, np.array(value))
            self.look()
        elif kind == "SetCameraFovMessage":
            self.fov = float(message["fov"])
            self.look()
        else:
            self.others.append(message)
            for text in (message.get("markdown"), (message.get("updates") or {}).get("markdown")):
                if isinstance(text, str) and text.startswith("Step"):
                    self.texts.append((now, text))

    def wait(self, condition: Any, seconds: float = 30.0) -> bool:
        """Whether a condition comes true within so many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if condition():
                return True
            time.sleep(0.02)
        return bool(condition())

    @property
    def step(self) -> int | None:
        """The step that the page says."""
        if not self.texts:
            return None
        found = re.search(r"Step: ([\d,]+)", self.texts[-1][1])
        return int(found.group(1).replace(",", "")) if found else None
