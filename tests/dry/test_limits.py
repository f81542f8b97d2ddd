"""Limits of real devices, on accounts that are computed by hand."""

import math

import pytest

from pytest_sdspeed.dry.limits import HOST_S_PER_OPERATION, compute_limit
from pytest_sdspeed.model.accounts import Account, Work
from pytest_sdspeed.model.devices import DEVICES, find_specs

A100 = "NVIDIA A100-SXM4-80GB"


def account(*work):
    return Account(operations=sum(one.count for one in work), flops=sum(one.flops * one.count for one in work), work=work)


def product(flops=312e12, moved=0, *, operation="mm", dtype="float16", count=1):
    return Work(operation, dtype, int(flops), int(moved), count)


def limit_of(*work, device=A100, precision="float16"):
    return compute_limit(account(*work), device, precision)


def test_arithmetic_is_flops_over_the_published_rate_of_the_type():
    assert limit_of(product(312e12)).limit_s == pytest.approx(1)
    assert limit_of(product(19.5e12, dtype="float32"), precision="float32").limit_s == pytest.approx(1)
    assert limit_of(product(312e12, dtype="bfloat16"), precision="bfloat16").limit_s == pytest.approx(1)


def test_traffic_is_bytes_over_the_published_bandwidth():
    found = limit_of(product(0, 2039e9))
    assert (found.limit_s, found.traffic_s, found.arithmetic_s) == pytest.approx((1, 1, 0))


def test_the_limit_takes_the_larger_of_the_two_operation_by_operation():
    found = limit_of(product(312e12, 0), product(0, 2 * 2039e9, operation="add"))
    assert found.limit_s == pytest.approx(3)
    assert limit_of(product(312e12, 2 * 2039e9)).limit_s == pytest.approx(2)
    assert limit_of(product(312e12, 0.5 * 2039e9)).limit_s == pytest.approx(1)


def test_operations_count_as_often_as_they_are_done():
    assert limit_of(product(312e10, 0, count=100)).limit_s == pytest.approx(1)


def test_float32_products_run_in_tf32_only_if_the_setup_allows_it():
    work = product(156e12, dtype="float32")
    assert limit_of(work, precision="tf32").limit_s == pytest.approx(1)
    assert limit_of(work, precision="float32").limit_s == pytest.approx(8)


def test_float32_convolutions_run_in_tf32_by_default_where_there_is_tf32():
    work = product(156e12, operation="convolution", dtype="float32")
    assert limit_of(work, precision="float32").limit_s == pytest.approx(1)
    assert limit_of(work, device="NVIDIA TITAN RTX", precision="float32").limit_s == pytest.approx(156 / 16.3)


def test_tf32_changes_nothing_on_a_device_without_it():
    work = product(16.3e12, dtype="float32")
    assert limit_of(work, device="NVIDIA TITAN RTX", precision="tf32").limit_s == pytest.approx(1)


def test_scaled_products_run_in_float8_whatever_type_their_results_have():
    work = product(1979e12, operation="_scaled_mm", dtype="bfloat16")
    assert limit_of(work, device="NVIDIA H100").limit_s == pytest.approx(1)
    assert limit_of(work, device=A100).limit_s is None


@pytest.mark.parametrize("device", ["", "NVIDIA B300", "cpu", "no device yet (goals)", "AMD Instinct MI300X"])
def test_an_unknown_device_has_no_limit(device):
    found = limit_of(product(), device=device)
    assert (found.limit_s, found.certain_s) == (None, None)
    assert repr(device) in found.reason


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA H100 NVL",
        "NVIDIA H100 PCIe",
        "Tesla V100S-PCIE-32GB",
        "NVIDIA L40",
        "NVIDIA A1000",
        "NVIDIA RTX 5000",
        "NVIDIA T400",
    ],
)
def test_a_device_of_another_name_is_not_taken_for_a_known_one(name):
    assert find_specs(name) == ()


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100 40GB"),
        ("NVIDIA A100-PCIE-40GB", "NVIDIA A100 40GB"),
        ("NVIDIA A100 80GB PCIe", "NVIDIA A100 80GB PCIe"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100"),
        ("NVIDIA H200", "NVIDIA H200"),
        ("Tesla T4", "NVIDIA T4"),
        ("Tesla V100-SXM2-16GB", "NVIDIA V100"),
        ("NVIDIA TITAN RTX", "NVIDIA TITAN RTX"),
        ("NVIDIA GeForce RTX 4090", "NVIDIA RTX 4090"),
        ("NVIDIA GeForce GTX 1080 Ti", "NVIDIA GTX 1080 Ti"),
    ],
)
def test_devices_are_found_by_the_names_that_torch_gives_them(name, spec):
    assert [one.name for one in find_specs(name)] == [spec]


def test_a_name_that_may_mean_several_devices_gets_the_limit_of_the_fastest():
    assert len(find_specs("NVIDIA A100")) == 3
    found = limit_of(product(0, 2039e9), device="NVIDIA A100")
    assert (found.device, found.limit_s) == ("NVIDIA A100 80GB", pytest.approx(1))


def test_every_device_finds_itself_and_has_figures_with_sources():
    for spec in DEVICES:
        assert spec in find_specs(spec.name)
        assert "float32" in spec.tflops
        assert spec.headroom >= 1
        assert len(spec.sources) > 1
        assert all(source.startswith("https://") for source in spec.sources)
        assert all(spec.tflops_at_most[kind] > spec.tflops[kind] for kind in spec.tflops_at_most)
        assert spec.tflops.get("tf32", math.inf) >= spec.tflops["float32"]


def test_a_type_without_a_published_rate_has_no_limit_and_the_reason_names_it():
    found = limit_of(product(dtype="bfloat16"), device="NVIDIA T4", precision="bfloat16")
    assert found.limit_s is None
    assert "no published rate of NVIDIA T4 for bfloat16" in found.reason


def test_a_type_that_only_moves_needs_no_rate():
    assert limit_of(product(0, 2039e9, operation="add", dtype="int64")).limit_s == pytest.approx(1)


def test_an_account_without_its_operations_has_no_limit():
    found = compute_limit(Account(operations=3, flops=10**15), A100, "float16")
    assert found.limit_s is None
    assert found.reason


def test_the_host_is_told_apart_and_makes_no_limit_larger():
    many = limit_of(product(1e6, 1, count=1_000_000))
    assert many.host_s == pytest.approx(1_000_000 * HOST_S_PER_OPERATION)
    assert many.limit_s < 0.01 < many.host_s


def test_the_certain_limit_has_no_traffic():
    assert limit_of(product(0, 2039e9)).certain_s == 0
    assert limit_of(product(312e12, 10 * 2039e9)).certain_s == pytest.approx(1 / 1.1)


def test_the_certain_limit_takes_the_fastest_algorithm_and_type_and_clock():
    headroom = 1.1
    assert limit_of(product(operation="convolution")).certain_s == pytest.approx(1 / 4 / headroom)
    assert limit_of(product(operation="scaled_dot_product_attention")).certain_s == pytest.approx(1 / 2 / headroom)
    assert limit_of(product(operation="baddbmm")).certain_s == pytest.approx(1 / 2 / headroom)
    tf32 = limit_of(product(156e12, dtype="float32"), precision="float32")
    assert (tf32.limit_s, tf32.certain_s) == pytest.approx((8, 1 / headroom))
    accumulated = limit_of(product(330.3e12), device="NVIDIA GeForce RTX 4090")
    assert accumulated.certain_s == pytest.approx(1 / 1.3)


def test_no_certain_limit_is_above_the_limit():
    for spec in DEVICES:
        for operation in ("mm", "convolution", "bmm", "scaled_dot_product_attention", "add"):
            for dtype in ("float32", "float16"):
                found = limit_of(product(1e12, 1e9, operation=operation, dtype=dtype), device=spec.name)
                assert found.limit_s is None or found.certain_s <= found.arithmetic_s <= found.limit_s
