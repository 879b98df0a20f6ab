"""A page in Chromium, worked by what a person reads on it, and what its websocket carries."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras
from PIL import Image
from scipy.spatial.transform import Rotation

PATIENCE = 5
"""Times longer that is waited than an idle machine ever took: how fast a machine is, no test says."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
# In a container there is no sandbox, and nowhere is there a graphics card to count on.
SETTINGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
# Without a graphics card, a page that draws the scene as often as it can takes a whole processor for ever.
SELDOM = """{
    const soon = window.requestAnimationFrame.bind(window), asked = new Map();
    let count = 0, isPlanned = false;
    const draw = at => {
        isPlanned = false;
        for (const number of [...asked.keys()]) {
            const call = asked.get(number);
            asked.delete(number);
            call?.(at);
        }
    };
    window.requestAnimationFrame = call => {
        if (!isPlanned) setTimeout(() => soon(draw), 100);
        isPlanned = true;
        asked.set(++count, call);
        return count;
    };
    window.cancelAnimationFrame = number => { asked.delete(number); };
}"""
SLOW_CLOCK = "const now = performance.now.bind(performance); performance.now = () => now() / 10"
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits for them: what has come over the websocket is taken in by one and drawn by the other, if not by the first."""
SCENE_UNITS = 10.0
"""Of the page in a normalised unit."""


def find_chromium() -> str | None:
    """The system's own browser; what only says that there is none is not taken for one."""
    for found in filter(None, map(shutil.which, NAMES)):
        if subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    return None


@dataclass
class Shown:
    """A picture that the page was sent.

    Attributes:
        at: time.monotonic() of its coming.
        jpeg: its bytes.
        camera: where the page had said that its camera is.
    """

    at: float
    jpeg: bytes
    camera: dict[str, Any]

    @property
    def image(self) -> np.ndarray:
        """(height, width, 3), uint8."""
        return np.asarray(Image.open(io.BytesIO(self.jpeg)).convert("RGB"))

    @property
    def width(self) -> int:
        return Image.open(io.BytesIO(self.jpeg)).width

    @property
    def rays_from(self) -> Cameras:
        """The camera, as the model renders from it."""
        width, height = Image.open(io.BytesIO(self.jpeg)).size
        w, x, y, z = self.camera["wxyz"]
        # The page's cameras look along z with y down, the model's along -z with y up.
        turn = Rotation.from_quat([x, y, z, w]).as_matrix() * [1, -1, -1]
        place = np.array(self.camera["position"])[:, None] / SCENE_UNITS
        focal = height / 2 / np.tan(self.camera["fov"] / 2)
        pose = torch.from_numpy(np.concatenate([turn, place], axis=1)).float()[None]
        return Cameras(pose, focal, focal, width / 2, height / 2, width, height)


@dataclass
class Chromium:
    """A browser, and the pages that it has open."""

    launched: Any
    pages: list[OpenPage] = field(default_factory=list)

    def open(
        self, port: int, *, size: tuple[int, int] = (1000, 600), is_sharp: bool = False, is_busy: bool = False
    ) -> OpenPage:
        """A page of a viewer, in a context of its own, as another person's would be.

        Args:
            port: of the viewer.
            size: of the window, in pixels.
            is_sharp: whether the page is made to think that it is fast: a slow one blurs what it shows.
            is_busy: whether the page draws the scene as often as it can, not ten times a second.
        """
        context = self.launched.new_context(
            viewport={"width": size[0], "height": size[1]},
            accept_downloads=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(30_000 * PATIENCE)
        if is_sharp:
            context.add_init_script(SLOW_CLOCK)
        if not is_busy:
            context.add_init_script(SELDOM)
        # The titlebar's logo is elsewhere.
        context.route(lambda url: "127.0.0.1" not in url and "localhost" not in url, lambda route: route.abort())
        page = OpenPage(context.new_page())
        self.pages.append(page)
        page.raw.goto(f"http://127.0.0.1:{port}", wait_until="commit")
        return page


@contextmanager
def chromium(executable: str) -> Iterator[Chromium]:
    """Start the browser, and end it with all its pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = Chromium(playwright.chromium.launch(executable_path=executable, args=SETTINGS))
        yield browser
        browser.launched.close()


class OpenPage:
    """What a person does with a viewer's page, and what came over its websocket meanwhile.

    Nothing arrives but while something here waits for it.
    """

    def __init__(self, page: Any) -> None:
        self.raw = page
        self.frames: list[Shown] = []
        self.notes: list[str] = []
        self.downloads: list[Any] = []
        self.complaints: list[str] = []
        self.others: list[dict[str, Any]] = []
        self.camera: dict[str, Any] = {}
        self.said = 0
        """Messages that it has sent over its present connection."""
        page.on("websocket", self._connected)
        page.on("download", lambda file: self.downloads.append(file))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _connected(self, socket: Any) -> None:
        self.said = 0
        socket.on("framereceived", lambda raw: self._take(raw))
        socket.on("framesent", lambda raw: self._say(raw))

    def _say(self, raw: bytes | str) -> None:
        self.said += 1
        self._take(raw)

    def _take(self, raw: bytes | str) -> None:
        if isinstance(raw, str):
            return
        decoded = msgspec.msgpack.decode(raw)
        for message in decoded if isinstance(decoded, list | tuple) else [decoded]:
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "BackgroundImageMessage":
                self.frames.append(Shown(time.monotonic(), message["rgb_bytes"], self.camera))
            elif kind == "ViewerCameraMessage":
                self.camera = message
            elif kind == "NotificationMessage":
                self.notes.append(f"{message['title']}: {message['body']}")
            elif kind is not None:
                self.others.append(message)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def wait(self, condition: Callable[[], Any], seconds: float = 10.0) -> bool:
        """Whether a condition comes true within so many seconds of an idle machine."""
        until = time.monotonic() + PATIENCE * seconds
        while not condition():
            if time.monotonic() > until:
                return False
            self.raw.wait_for_timeout(30)
        return True

    def next_frame(self, seconds: float = 15.0) -> Shown:
        """The first frame from now on."""
        count = len(self.frames)
        assert self.wait(lambda: len(self.frames) > count, seconds), f"no frame within {seconds} s"
        return self.frames[-1]

    def still_frame(self, *, quiet: float = 1.0, seconds: float = 20.0) -> Shown:
        """The last frame, once none has come for a while."""
        asked = time.monotonic()

        def is_quiet() -> bool:
            newest = self.frames[-1].at if self.frames else time.monotonic()
            return time.monotonic() - max(newest, asked) > quiet

        assert self.wait(is_quiet, seconds), f"frames keep coming for {seconds} s"
        return self.frames[-1]

    # -- what is read --------------------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the page says so."""
        return self.raw.get_by_text("Connected", exact=True).count() > 0

    @property
    def text(self) -> str:
        """Everything that can be read."""
        return self.raw.locator("body").inner_text()

    @property
    def step(self) -> int:
        """The step that the page says, -1 before it says any."""
        found = re.search(r"Step: ([\d,]+)", self.text)
        return int(found.group(1).replace(",", "")) if found else -1

    def look(self) -> np.ndarray:
        """The scene as it stands on the screen, (height, width, 3), uint8: with meshes, without controls."""
        png = self.raw.locator("canvas[data-engine]").screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def still_look(self, seconds: float = 20.0) -> np.ndarray:
        """The scene on the screen, once all that has come is in it and a look half a second later finds the same."""
        looks = [np.zeros(0)]

        def is_still() -> bool:
            self.raw.wait_for_timeout(500)
            self.raw.evaluate(TWO_FRAMES)
            looks.append(self.look())
            return np.array_equal(looks[-1], looks[-2])

        assert self.wait(is_still, seconds), f"the screen keeps changing for {seconds} s"
        return looks[-1]

    def sent(self, name: str, what: str) -> np.ndarray:
        """(n, 3) of what was last sent for a node of the scene, such as the points of a cloud."""
        found = [each.get("props", each) for each in self.others if each.get("name") == name]
        whole = [each[what] for each in found if what in each]
        assert whole, f"no {what} of {name} were sent"
        return np.frombuffer(whole[-1], np.float32).reshape(-1, 3)

    # -- what is done --------------------------------------------------------------------------------------------------

    def click(self, button: str, *, within: Any = None) -> None:
        """Press the button of this name."""
        (within or self.raw).get_by_role("button", name=button, exact=True).first.click()

    def drag(self, across: float, *, steps: int = 6) -> None:
        """Turn the camera about what it looks at, by moving the mouse over so many pixels of the picture, and wait
        until the page has said where it has come to rest."""
        before = self.camera.get("position")
        self.raw.mouse.move(200, 300)
        self.raw.mouse.down()
        self.raw.mouse.move(200 + across, 300, steps=steps)
        self.raw.mouse.up()
        assert self.wait(lambda: self.camera.get("position") != before, 30), "the camera has not moved"
        last = None
        while self.camera is not last:
            last = self.camera
            self.raw.wait_for_timeout(300)

    def folder(self, title: str) -> Folder:
        """A panel, opened."""
        panel = Folder(self, title)
        panel.open()
        return panel

    def tab(self, name: str) -> None:
        """Turn to one of nerfstudio's tabs."""
        self.raw.get_by_role("tab", name=name, exact=True).click()

    def downloaded(self, seconds: float = 20.0) -> tuple[str, Path]:
        """Name and place of the next file that the page is given."""
        assert self.wait(lambda: self.downloads, seconds), "no file has come"
        file = self.downloads.pop(0)
        return file.suggested_filename, Path(file.path())


class Folder:
    """A folder of controls, by its title."""

    def __init__(self, page: OpenPage, title: str, *, within: Any = None) -> None:
        self.page, self.title = page, title
        is_titled = f'div[contains(@class, "Paper-root")][normalize-space()="{title}"]'
        self.root = (within or page.raw).locator(f'xpath=.//div[@data-with-border="true"][{is_titled}]').first

    def folder(self, title: str) -> Folder:
        """A folder in this one, opened."""
        inner = Folder(self.page, title, within=self.root)
        inner.open()
        return inner

    @property
    def exists(self) -> bool:
        """Whether the page has it."""
        return self.root.count() > 0

    @property
    def is_open(self) -> bool:
        """Whether it is unfolded."""
        return self.root.locator("> div[aria-hidden]").first.get_attribute("aria-hidden") == "false"

    def open(self) -> None:
        """Unfold it, if it is not."""
        self.root.wait_for()
        if not self.is_open:
            self.fold()
            assert self.page.wait(lambda: self.is_open, 3)
            self.page.raw.wait_for_timeout(250)  # it slides

    def fold(self) -> None:
        """Click its title."""
        self.root.locator("> div").first.click()

    @property
    def text(self) -> str:
        """What can be read in it."""
        return self.root.inner_text()

    def row(self, label: str) -> Any:
        """The line of a control."""
        lines = self.root.locator(f'xpath=.//label[normalize-space()="{label}"]')
        return lines.first.locator('xpath=ancestor::div[contains(@class, "Flex-root")][1]')

    def has(self, label: str) -> bool:
        """Whether there is such a control, or such a button, to be seen."""
        return any(each.count() > 0 and each.first.is_visible() for each in (self.row(label), self.button(label)))

    def button(self, name: str) -> Any:
        return self.root.get_by_role("button", name=name, exact=True)

    def click(self, button: str) -> None:
        """Press a button."""
        self.button(button).first.click()

    def set(self, label: str, *values: float | str) -> None:
        """Write numbers or a text into a control's fields; a slider's is beside it."""
        fields = self.row(label).locator("input:not([type=hidden])")
        for number, value in enumerate(values):
            fields.nth(number).fill(str(value))
            fields.nth(number).press("Enter")

    def check(self, label: str, is_on: bool = True) -> None:
        """Set a checkbox, or take it back."""
        self.row(label).locator("input[type=checkbox]").set_checked(is_on)

    def is_checked(self, label: str) -> bool:
        return self.row(label).locator("input[type=checkbox]").is_checked()

    def choose(self, label: str, option: str) -> None:
        """Take one of a dropdown's options."""
        self.row(label).locator("input:not([type=hidden])").first.click()
        self.page.raw.get_by_role("option", name=option, exact=True).locator("visible=true").first.click()

    def options(self, label: str) -> list[str]:
        """All of a dropdown's options."""
        self.row(label).locator("input:not([type=hidden])").first.click()
        found = self.page.raw.get_by_role("option").locator("visible=true").all_inner_texts()
        self.page.raw.keyboard.press("Escape")
        return found

    def value(self, label: str) -> str:
        """What a control's first field says."""
        return self.row(label).locator("input:not([type=hidden])").first.input_value()
