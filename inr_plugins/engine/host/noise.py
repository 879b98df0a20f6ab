"""Silence the start-up warnings that say nothing to a user of these methods, each by its module and message.

Not covered: warnings that nerfstudio raises before it loads plugins.
"""

from __future__ import annotations

import warnings

# (start of the message, module that raises it), both regular expressions.
_HARMLESS = (
    # nerfstudio uses names that torch has renamed since; nothing that a user could change.
    (r"`torch\.cuda\.amp\.GradScaler", r"nerfstudio\.engine\.trainer"),
    (r"Using a non-tuple sequence for multidimensional indexing", r"nerfstudio\.cameras\.cameras"),
    (r"`torch\.jit\.script` is deprecated", r"torch\.jit\._script"),
    (r"`torch\.cuda\.amp\.custom_(fwd|bwd)", r"nerfstudio\.field_components\.activations"),
    # It logs the losses of evaluation with their graph still attached.
    (r"Converting a tensor with requires_grad=True to a scalar", r"nerfstudio\.utils\.writer"),
    # It asks for four loader processes and then loads in threads.
    (r"This DataLoader will create \d+ worker processes", r"torch\.utils\.data\.dataloader|nerfstudio\.data\..*"),
    # It pins memory for transfers to a GPU that may not be there.
    (r"'pin_memory' argument is set as true but no accelerator is found", r"torch\.utils\.data\.dataloader"),
)


def silence_startup_noise() -> None:
    """Add the filters; calling it again changes nothing."""
    for message, module in _HARMLESS:
        warnings.filterwarnings("ignore", message=message, module=module)


def silence_dependencies() -> None:
    """For this package's own commands: also no word of what a dependency will do differently some day."""
    silence_startup_noise()
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, SyntaxWarning):
        # Of all modules but this package's.
        warnings.filterwarnings("ignore", category=category, module=r"(?!inr_plugins)")
