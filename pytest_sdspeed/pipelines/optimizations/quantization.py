"""Weights in fewer bits, by the libraries that quantize them."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import (
    count_bytes,
    explain,
    find_modules,
    is_compiled,
)
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import advise, require_package
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, TEXT_ENCODERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Machine, Recipe

    Chosen = Callable[[Any, str], bool]

_NAME = "quantize"
_ADA = (8, 9)
_GGUF_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Method:
    """A way to quantize.

    Attributes:
        package: what does it, as pip calls it.
        apply: called with a module, a filter of its linear layers by layer and name, and the type
            it computes in.
        module: what the package is imported as, if not by its name.
        extra: the extra of this project that installs it, or None.
        needs: None for every device, ``cuda`` for CUDA GPUs, or the least compute capability.
        slow: what to know of its speed.
    """

    package: str
    apply: Callable[[Any, Chosen, Any], None]
    module: str = ""
    extra: str | None = "quantize"
    needs: str | tuple[int, int] | None = None
    slow: str = ""


def _make_torchao(config: str, *, by_row: bool = False) -> Callable[[Any, Chosen, Any], None]:
    def apply(module: Any, chosen: Chosen, _dtype: Any) -> None:
        import torchao
        from torchao import quantization

        kind = getattr(quantization, config, None)
        if kind is None:
            raise RegistrationError(
                f"{_NAME} needs {config}, which torchao {torchao.__version__} does not have: pip"
                " install --upgrade torchao"
            )
        options: dict[str, Any] = {"granularity": quantization.PerRow()} if by_row else {}
        if "set_inductor_config" in {one.name for one in dataclasses.fields(kind)}:
            # It would set flags of torch for every pipeline of the process.
            options["set_inductor_config"] = False
        quantization.quantize_(module, kind(**options), filter_fn=chosen)

    return apply


def _make_bitsandbytes(kind: str) -> Callable[[Any, Chosen, Any], None]:
    def apply(module: Any, chosen: Chosen, dtype: Any) -> None:
        from bitsandbytes import nn

        def convert(layer: Any) -> Any:
            device, shape = layer.weight.device, (layer.in_features, layer.out_features)
            biased = layer.bias is not None
            if kind == "nf4":
                made = nn.Linear4bit(*shape, biased, compute_dtype=dtype, quant_type="nf4")
                weight = nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
            else:
                made = nn.Linear8bitLt(*shape, biased, has_fp16_weights=False, threshold=6.0)
                weight = nn.Int8Params(
                    layer.weight.data.cpu(), requires_grad=False, has_fp16_weights=False
                )
            made.weight, made.bias = weight, layer.bias
            return made.to(device)  # which is when it quantizes

        _replace_linear(module, chosen, convert)

    return apply


def _make_gguf(kind: str) -> Callable[[Any, Chosen, Any], None]:
    def apply(module: Any, chosen: Chosen, dtype: Any) -> None:
        import torch
        from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter
        from gguf import GGMLQuantizationType, quants

        quant_type = GGMLQuantizationType[kind]

        def convert(layer: Any) -> Any:
            made = GGUFLinear(
                layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=dtype
            )
            packed = quants.quantize(layer.weight.detach().float().cpu().numpy(), quant_type)
            data = torch.from_numpy(packed).to(layer.weight.device)
            made.weight = GGUFParameter(data, quant_type=quant_type)
            made.bias = layer.bias
            return made

        def fits(layer: Any, path: str) -> bool:
            return chosen(layer, path) and layer.in_features % _GGUF_BLOCK == 0

        _replace_linear(module, fits, convert)

    return apply


def _make_quanto(weights: str) -> Callable[[Any, Chosen, Any], None]:
    def apply(module: Any, chosen: Chosen, _dtype: Any) -> None:
        from optimum import quanto

        excluded = [path for path, one in module.named_modules() if not chosen(one, path)]
        quanto.quantize(module, weights=getattr(quanto, weights), exclude=excluded)
        quanto.freeze(module)

    return apply


def _use_quanto(weights: str) -> Method:
    return Method("optimum-quanto", _make_quanto(weights), module="optimum.quanto", extra=None)


def _replace_linear(module: Any, chosen: Chosen, convert: Callable[[Any], Any]) -> None:
    paths = [path for path, one in module.named_modules() if chosen(one, path)]
    for path in paths:
        parent, _, name = path.rpartition(".")
        owner = module.get_submodule(parent)
        setattr(owner, name, convert(getattr(owner, name)))


_COMPILED = "without compile it is many times slower than no quantization (x0.05 of FLUX.1-dev)"
METHODS = {
    "int8wo": Method("torchao", _make_torchao("Int8WeightOnlyConfig")),
    "int8dq": Method(
        "torchao", _make_torchao("Int8DynamicActivationInt8WeightConfig"), slow=_COMPILED
    ),
    "int4wo": Method("torchao", _make_torchao("Int4WeightOnlyConfig"), needs="cuda"),
    "fp8wo": Method("torchao", _make_torchao("Float8WeightOnlyConfig")),
    "fp8dq": Method(
        "torchao",
        _make_torchao("Float8DynamicActivationFloat8WeightConfig"),
        needs=_ADA,
        slow="it is meant to be compiled",
    ),
    "fp8dqrow": Method(
        "torchao",
        _make_torchao("Float8DynamicActivationFloat8WeightConfig", by_row=True),
        needs=_ADA,
        slow="it is meant to be compiled",
    ),
    "bnb_nf4": Method("bitsandbytes", _make_bitsandbytes("nf4"), extra=None),
    "bnb_int8": Method("bitsandbytes", _make_bitsandbytes("int8"), extra=None),
    "gguf_q8_0": Method("gguf", _make_gguf("Q8_0")),
    "gguf_q4_0": Method("gguf", _make_gguf("Q4_0")),
    "gguf_q4_1": Method("gguf", _make_gguf("Q4_1")),
    "quanto_int8": _use_quanto("qint8"),
    "quanto_fp8": _use_quanto("qfloat8"),
    "quanto_int4": _use_quanto("qint4"),
}
"""Value of the option ``method`` -> how it is done."""


def _check(machine: Machine, *, method: str, **_others: Any) -> str | None:
    found = _find(method)
    install = f"'pytest-sdspeed[{found.extra}]'" if found.extra else found.package
    reason = require_package(found.package, found.module, install)
    if reason or found.needs is None:
        return reason
    label = f'{_NAME}(method="{method}")'
    if machine.kind != "cuda":
        return f"{label} needs a CUDA GPU: {advise(machine)}"
    if isinstance(found.needs, tuple) and (machine.capability or (0, 0)) < found.needs:
        return f"{label} needs an Ada or later CUDA GPU: {machine.device} is older"
    return None


def _find(method: str) -> Method:
    if method not in METHODS:
        raise RegistrationError(
            f"{_NAME}: option 'method' is {method!r}; valid: {', '.join(METHODS)}"
        )
    return METHODS[method]


def _choose(skip: list[str]) -> Chosen:
    import torch

    def chosen(layer: Any, path: str) -> bool:
        return type(layer) is torch.nn.Linear and not any(part in path for part in skip)

    return chosen


def _apply(
    pipeline: Any, _recipe: Recipe, *, method: str, parts: list[str], skip: list[str]
) -> None:
    found = _find(method)
    before = {}
    for name, module in find_modules(_NAME, parts, pipeline).items():
        _check_linear(name, module)
        before[name] = count_bytes(module.parameters())
        try:
            found.apply(module, _choose(skip), module.dtype)
        except (ValueError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
            what = f"{name}, of {type(module).__name__}, by {method}"
            raise explain(_NAME, what, error) from error
    known = getattr(pipeline, "bytes_before_quantization", {})
    pipeline.bytes_before_quantization = {**before, **known}


def _check_linear(name: str, module: Any) -> None:
    """Refuse a part that no method quantizes anything of: another one would hide that.

    Raises:
        RegistrationError: it has no linear layer.
    """
    import torch

    if not any(isinstance(one, torch.nn.Linear) for one in module.modules()):
        raise RegistrationError(
            f"{_NAME}: {name}, of {type(module).__name__}, has no linear layer: leave it out of"
            " parts"
        )


@contextmanager
def _prove(
    pipeline: Any, *, method: str, parts: list[str], **_others: Any
) -> Iterator[Callable[[], Finding]]:
    """Look at the classes of the weights, and compare their bytes with those of before."""
    modules = find_modules(_NAME, parts, pipeline)
    before = sum(pipeline.bytes_before_quantization[name] for name in modules)
    yield lambda: _judge(modules, before, _find(method))


def _judge(modules: dict[str, Any], before: int, method: Method) -> Finding:
    import torch

    weights = [one for module in modules.values() for one in module.parameters()]
    plain = (torch.Tensor, torch.nn.Parameter)
    kinds = {type(one).__name__ for one in weights if type(one) not in plain}
    kinds |= {type(one.data).__name__ for one in weights if type(one.data) not in plain}
    count = sum(type(one) not in plain or type(one.data) not in plain for one in weights)
    if not count:
        return Finding(
            acted=False,
            text=f"none of {len(weights)} weights of {', '.join(modules)} is quantized: no linear"
            " layer is of a size that this method takes",
        )
    after = count_bytes(weights)
    slow = method.slow and not any(map(is_compiled, modules.values()))
    return Finding(
        acted=True,
        text=f"{count} of {len(weights)} weights are {' and '.join(sorted(kinds))}:"
        f" {after / 1e6:.3g} MB in the place of {before / 1e6:.3g} MB"
        + (f"; {method.slow}" if slow else ""),
    )


OPTIMIZATIONS = (
    Optimization(
        name=_NAME,
        summary="weights of linear layers in 8 or 4 bits",
        options={"method": "int8wo", "parts": [DENOISERS], "skip": []},
        supported=_check,
        changes=frozenset({DENOISERS, TEXT_ENCODERS, AUTOENCODER}),
        apply=_apply,
        prove=_prove,
        relation="approximation",
        depends_on_size=True,
    ),
)
