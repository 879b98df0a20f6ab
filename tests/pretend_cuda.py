"""A CUDA device on a machine that has none, good enough to find tensors that were left on the CPU.

Inside `PretendCuda` a tensor that is moved to CUDA stays where it is and is labelled as CUDA's. Operations pass labels
on, and one that meets CUDA's tensors and the CPU's raises, as CUDA would. Where a label was lost, as for what C++ code
makes or holds, a tensor is taken for either. Operations in which the host waits for the device are counted, as
torch.cuda.set_sync_debug_mode counts them on a real one. Nothing is said about kernels, streams or speed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

_CUDA = torch.device("cuda:0")
_MOVES = {Tensor.to, Tensor.cuda, Tensor.cpu, Tensor.type_as, torch.as_tensor, torch.asarray}
_ACROSS = {Tensor.copy_, Tensor.set_}
"""Operations that take tensors of both devices."""
_NOT_OPERATIONS = {"_parse_to", "_has_compatible_shallow_copy_type"}

_WAITING = {
    *(
        "item",
        "tolist",
        "__bool__",
        "__int__",
        "__float__",
        "__index__",
        "__complex__",
        "is_nonzero",
        "equal",
        "allclose",
    ),
    *("nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "bincount", "histc", "one_hot"),
}
"""Operations on CUDA's tensors that end in numbers, or in as many as the numbers say."""

_labels = WeakTensorKeyDictionary()


def label(tensor: Tensor) -> str | None:
    """cuda or cpu, or None where it is not known."""
    return _labels.get(tensor)


def _set_labels(values: Any, name: str | None) -> Any:
    if name is not None:
        for leaf in tree_leaves(values):
            if isinstance(leaf, Tensor):
                _labels[leaf] = name
    return values


def _named_device(value: Any) -> str | None:
    """The type of device that an argument names, if it names one."""
    if isinstance(value, torch.device):
        return value.type
    if isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"):
        return value.split(":")[0]
    return None


def _on_cpu(value: Any) -> Any:
    return torch.device("cpu") if _named_device(value) == "cuda" else value


class PretendCuda(TorchFunctionMode):
    """See the module.

    Attributes:
        waits: where the host waited for the device, a line of our code or of a library's for each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._backward = 0

    def __enter__(self) -> PretendCuda:
        self._new_parameter = nn.Parameter.__new__
        nn.Parameter.__new__ = self._labelled_parameter
        self._run_backward = BackwardCFunction.apply
        BackwardCFunction.apply = lambda node, *gradients: self._watched_backward(node, *gradients)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        nn.Parameter.__new__ = self._new_parameter
        BackwardCFunction.apply = self._run_backward

    def _watched_backward(self, node: Any, *gradients: Any) -> Any:
        """What autograd runs in Python is watched too, which it would keep out of; gradients come without labels."""
        TorchFunctionMode.__enter__(self)
        self._backward += 1
        try:
            return self._run_backward(node, *gradients)
        finally:
            self._backward -= 1
            TorchFunctionMode.__exit__(self, None, None, None)

    def _labelled_parameter(self, cls: type, data: Tensor | None = None, requires_grad: bool = True) -> Tensor:
        """Made in C++, a parameter would lose the label of what it is made from."""
        made = self._new_parameter(cls, data, requires_grad)
        return _set_labels(made, None if data is None else label(data))

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, owner = getattr(func, "__name__", ""), getattr(func, "__self__", None)
        if func is torch.device or name in _NOT_OPERATIONS:
            return func(*args, **kwargs)
        if name == "__get__" and owner in (Tensor.device, Tensor.is_cuda, Tensor.grad):
            return _attribute(owner, args[0], func(*args, **kwargs))
        if name == "__set__" and owner is Tensor.data:
            _set_labels(args[0], label(args[1]))
            return func(*args, **kwargs)
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        device = next((found for leaf in leaves if (found := _named_device(leaf))), None)
        if _waits(func, name, args, kwargs, tensors, device, unknown="cuda" if self._backward else None):
            self.waits.append(_caller(name))
        if func in _MOVES:
            return _moved(func, tree_map(_on_cpu, (args, kwargs)), tensors, device)
        if device is None and tensors and func not in _ACROSS:
            device = _common_device(name, args, tensors)
        args, kwargs = tree_map(_on_cpu, (args, kwargs))
        out = func(*args, **kwargs)
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
            return out
        return _set_labels(out, device if tensors else device or "cpu")


def _waits(
    func: Callable[..., Any],
    name: str,
    args: Any,
    kwargs: Any,
    tensors: list[Tensor],
    device: str | None,
    *,
    unknown: str | None,
) -> bool:
    """Whether the host waits for the device in an operation; tensors without a label are taken for `unknown`."""
    if name in ("tensor", "new_tensor", "as_tensor", "asarray") and not (tensors and func in _MOVES):
        # Numbers in the computer's memory are copied, unless there is but one place for them.
        return device == "cuda" or (name == "new_tensor" and label(args[0]) == "cuda")
    labels = {label(each) or unknown for each in tensors}
    if func is Tensor.copy_:
        return {"cpu", "cuda"} <= labels and not (kwargs.get("non_blocking") or (len(args) > 2 and args[2]))
    if func in _MOVES:
        target = "cpu" if func is Tensor.cpu else "cuda" if func is Tensor.cuda else device
        if target is None and len(tensors) > 1:
            target = label(tensors[-1])
        crosses = target is not None and tensors and label(tensors[0]) not in (None, target)
        return bool(crosses) and not kwargs.get("non_blocking")
    if "cuda" not in labels:
        return False
    if name == "__setitem__" and not isinstance(args[2], Tensor):
        return False
    if name in ("__getitem__", "__setitem__"):
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        found = [each for each in index if isinstance(each, Tensor) and (label(each) or unknown) == "cuda"]
        return any(each.dtype in (torch.bool, torch.uint8) or each.ndim == 0 for each in found)
    if name == "where":
        return len(args) + len(kwargs) == 1
    if name == "repeat_interleave":
        return isinstance(args[1], Tensor) and kwargs.get("output_size") is None
    return name in _WAITING


def _caller(name: str) -> str:
    """The innermost line, but for torch's, that is being run."""
    frames = [each for each in traceback.extract_stack() if "/torch/" not in each.filename]
    frames = [each for each in frames if not each.filename.endswith("/pretend_cuda.py")]
    frame = frames[-1]
    return f"{frame.filename.split('site-packages/')[-1]}:{frame.lineno}: {name}: {frame.line}"


def _attribute(owner: Any, tensor: Tensor, value: Any) -> Any:
    """What a tensor's device, is_cuda or grad are said to be."""
    if label(tensor) != "cuda":
        return value
    if owner is Tensor.grad:
        return _set_labels(value, "cuda")
    return _CUDA if owner is Tensor.device else True


def _moved(func: Callable[..., Any], arguments: Any, tensors: list[Tensor], device: str | None) -> Tensor:
    """A tensor moved to a named device, or to that of another tensor; a new object if its label changes."""
    args, kwargs = arguments
    if func is Tensor.cuda:
        func, args, kwargs, device = Tensor.to, (args[0], "cpu"), {}, "cuda"
    elif func is Tensor.cpu:
        device = "cpu"
    elif device is None:
        device = label(tensors[-1]) if tensors else "cpu"
    out = func(*args, **kwargs)
    if tensors and out is tensors[0] and device != label(out):
        out = out.view(out.shape)
    return _set_labels(out, device)


def _common_device(name: str, args: Any, tensors: list[Tensor]) -> str | None:
    """The label of an operation's outputs.

    Raises:
        AssertionError: CUDA would refuse it.
    """
    assert name not in ("numpy", "__array__") or label(tensors[0]) != "cuda", "a CUDA tensor was handed to numpy"
    if name in ("__getitem__", "__setitem__") and label(tensors[0]) == "cuda":
        # An index may come from the CPU, and what is set there as well if it is one number.
        tensors = [each for each in (args[0], *args[2:]) if isinstance(each, Tensor)]
    # A CPU tensor without dimensions is a number to CUDA.
    labels = {label(each) for each in tensors if each.ndim > 0 or label(each) == "cuda"}
    told = ", ".join(f"{tuple(each.shape)} {label(each)}" for each in tensors)
    assert not {"cuda", "cpu"} <= labels, f"{name} of tensors on CUDA and on the CPU: {told}"
    return "cuda" if "cuda" in labels else "cpu" if labels == {"cpu"} else None
