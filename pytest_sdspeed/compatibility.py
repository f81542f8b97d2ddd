"""What differs between the versions of other packages: the only module that asks for a version.

Each entry says from which version on it is not needed; when a floor in pyproject.toml reaches that,
the entry goes. Callers bring what they have imported: this module imports none of it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@cache
def _is_before(package: str, release: str) -> bool:
    """Tell whether the installed version of a package is older than a release.

    A development version counts as the release that it becomes: diffusers' main has what that has.
    """
    from packaging.version import Version

    return Version(Version(version(package)).base_version) < Version(release)


def make_dtype_argument(dtype: Any) -> dict[str, Any]:
    """Return the argument of diffusers' ``from_pretrained`` that sets the dtype.

    It is ``torch_dtype`` before diffusers 0.40.
    """
    return {"torch_dtype" if _is_before("diffusers", "0.40") else "dtype": dtype}


def choose_pillow() -> dict[str, Any]:
    """Return the argument of ``AutoImageProcessor.from_pretrained`` that has Pillow resize.

    It is ``use_fast`` before transformers 5.4.
    """
    return {"use_fast": False} if _is_before("transformers", "5.4") else {"backend": "pil"}


def find_current_accelerator(torch: Any) -> Any:
    """Return the device that torch was built for, or None.

    Before torch 2.7 it raises if there is no such device; None stands for that too.
    """
    try:
        return torch.accelerator.current_accelerator()
    except RuntimeError:
        return None


def set_default_device(torch: Any, device: Any) -> None:
    """Set torch's default device; None unsets it.

    Before torch 2.8, ``torch.get_default_device`` fails after it was unset.
    """
    torch.set_default_device(device)
    if device is None and _is_before("torch", "2.8"):
        vars(torch._GLOBAL_DEVICE_CONTEXT).pop("device_context", None)  # noqa: SLF001 - as before it was set


def find_alias(entry: Any) -> str | None:
    """Return the setting that an entry of torch's configurations is another name of, or None.

    Before torch 2.7 there are no other names.
    """
    return getattr(entry, "alias", None)


def find_guard_setter(torch: Any) -> Callable[[], None] | None:
    """Return what makes a build of torch with CUDA leave GPUs alone if there are none, or None.

    torch 2.6 does not have it, 2.11 does.
    """
    setter: Callable[[], None] | None = getattr(torch._C, "_ensureCUDADeviceGuardSet", None)  # noqa: SLF001
    return setter


def has_fused_rms_norm(torch: Any) -> bool:
    """Tell whether torch computes ``rms_norm`` on CUDA by one kernel.

    In torch 2.6 the operation of that name is Metal's alone, and returns one tensor; the one for
    CUDA, which torch 2.13 has, returns two.
    """
    fused = getattr(torch.ops.aten, "_fused_rms_norm", None)
    return fused is not None and len(fused.default._schema.returns) > 1  # noqa: SLF001


def make_tokenizer(kind: Any, vocabulary: Mapping[str, int], length: int) -> Any:
    """Make a ``CLIPTokenizer`` without merges.

    Before transformers 5 it reads files only.

    Args:
        kind: that class.
        vocabulary: token -> its id.
        length: tokens that a text is truncated to.
    """
    if not _is_before("transformers", "5"):
        return kind(vocab=dict(vocabulary), merges=[], model_max_length=length)
    with TemporaryDirectory() as folder:
        files = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        files[0].write_text(json.dumps(vocabulary), encoding="utf-8")
        files[1].write_text("#version: 0.2\n", encoding="utf-8")
        return kind(*map(str, files), model_max_length=length)


def find_json_path(given: Any) -> Path:
    """Return where ``--benchmark-json`` is written.

    Before pytest-benchmark 5.3 the option is a file, open since the run began. It is closed here:
    the whole run takes its place.

    Args:
        given: value of the option, which is given.
    """
    if not hasattr(given, "close"):
        return Path(given)
    given.close()
    return Path(given.name)


def make_node(name: str, nodeid: str) -> SimpleNamespace:
    """Make what stands for a test when pytest-benchmark is given a benchmark of another process.

    Before pytest-benchmark 5.3.1 it reads the private ``_nodeid``.
    """
    return SimpleNamespace(name=name, nodeid=nodeid, _nodeid=nodeid)
