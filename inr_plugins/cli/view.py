"""inr-view: a trained run in the browser, for this machine only unless told otherwise."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from inr_plugins.cli.arguments import Groups, parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.result import output_for_result
from inr_plugins.cli.runs import OneRun
from inr_plugins.errors import InputError
from inr_plugins.options import COMMANDS, check_numbers, told

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

_SECONDS_TO_CLOSE = 2.0


@dataclass(frozen=True, kw_only=True)
class ViewOptions(OneRun):
    """Look at a trained run in the browser: nerfstudio's viewer on the newest sound checkpoint.

    Takes runs of this package's methods and of nerfstudio's own. Nothing that the run's files say is executed.
    """

    GROUPS: ClassVar[Groups] = {"run": "load_config data device", "address": "host port"}

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets in whoever reaches this machine."""
    port: Annotated[int | None, told("INT", "from 7007 on")] = None
    """Port to listen on."""
    data: Annotated[Path | None, told("PATH", "where the run was trained from")] = None
    """Where the dataset is now."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to render, such as cpu or cuda:0."""


def view(options: ViewOptions, *, wait: Callable[[], None]) -> None:
    """Open the run, serve it, print the address, and close the viewer when `wait` ends, however it does.

    Raises:
        InputError: no run that can be opened, or an address that cannot be had.
        KeyboardInterrupt: told to stop before the viewer was there; afterwards that is how it ends.
    """
    check_numbers(options, COMMANDS["inr-view"])
    config = options.config().resolve()
    from inr_plugins.engine.address import find_address, is_private

    # First: reading a run takes a while.
    find_address(options.host, options.port)
    with output_for_result(quiet=options.quiet):
        from inr_plugins.engine.runs.run import load_run

        run = load_run(config, device=options.device, data=options.data, test_mode="test")
    # Again: while the run was read another program may have come, for which viser would take another port in silence.
    viewer = _serve(run, host=options.host, port=find_address(options.host, options.port))
    try:
        name = "localhost" if options.host in ("", "0.0.0.0", "::") else options.host
        name = f"[{name}]" if ":" in name else name
        reach = "" if is_private(options.host) else f", open to whoever reaches {options.host}"
        print(
            f"Step {run.step:,} of {config.parent} is at http://{name}:{viewer.viser_server.get_port()}{reach}; "
            "Ctrl-C ends it.",
            flush=True,
        )
        wait()
    except KeyboardInterrupt:
        pass
    finally:
        _close(viewer)


def _serve(run: Run, *, host: str, port: int) -> Any:
    """nerfstudio's viewer of an open run, serving."""
    from nerfstudio.utils import writer
    from nerfstudio.viewer.viewer import Viewer

    from inr_plugins.engine.live_viewer import while_others_end

    config, data = run.config, run.pipeline.datamanager
    if data.train_dataset is None:
        raise InputError(f"The method {config.method_name} has no training images, which nerfstudio's viewer shows.")
    config.viewer = replace(config.viewer, websocket_host=host, websocket_port=port)
    folder = run.config_path.parent
    # viser prints a panel, whose address is that of all interfaces in other words.
    with redirect_stdout(io.StringIO()), while_others_end():
        viewer = Viewer(
            config.viewer,
            log_filename=folder / config.viewer.relative_log_filename,
            # Where the page writes camera paths.
            datapath=folder,
            pipeline=run.pipeline,
            train_lock=threading.Lock(),
        )
        # Its threads look into the writer's buffer, which has to be there.
        config.logging.local_writer.enable = False
        writer.setup_local_writer(config.logging, max_iter=config.max_num_iterations, banner_messages=None)
        viewer.init_scene(
            train_dataset=data.train_dataset, train_state="completed", eval_dataset=getattr(data, "eval_dataset", None)
        )
    viewer.update_scene(step=run.step)
    viewer.update_step(run.step)
    return viewer


def _close(viewer: Any) -> None:
    """End the viewer's threads, as far as they do within seconds."""
    from inr_plugins.engine.live_viewer import end_viewer

    end_viewer(viewer, seconds=_SECONDS_TO_CLOSE)


def _wait_for_ever() -> None:
    while True:
        time.sleep(3600)


def main(arguments: Sequence[str] | None = None, *, wait: Callable[[], None] = _wait_for_ever) -> int:
    """Run the command; its exit status.

    Ctrl-C and SIGTERM are how it ends: 0. Before the viewer is there, they are 130 and 143. 1 for a mistake the user
    can fix.
    """
    options = parse(ViewOptions, prog="inr-view", args=arguments)
    return run_command(
        "inr-view",
        lambda: view(options, wait=wait),
        when_stopped=lambda: "the viewer was not there yet.",
        with_less_memory="use a machine with more, or --device cpu",
    )


def entrypoint() -> None:
    """The inr-view command."""
    # With a page open, threads of the viewer are inside torch, which ends the process with a complaint if Python takes
    # itself apart around them. Nothing here is written at the end.
    start(main, at_once=True)


if __name__ == "__main__":
    entrypoint()
