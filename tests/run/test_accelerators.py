"""Accelerators: chosen once, only where they work, and said; nothing here has a GPU, so "cuda" is a name."""

import importlib.machinery
import sys
import types
from collections.abc import Callable
from pathlib import Path

import nerfacc
import pytest
import torch
from torch import Tensor

from src.config import RunConfig, as_dict, identity
from src.errors import UserError
from src.run import accelerators
from src.run.accelerators import settle
from src.scene.hash_grid_triton import InTriton
from tests.runs import tiny
from tests.scene import kernels

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NERFACC, TCNN = "render.backend=nerfacc", "field.hash_grid.backend=tcnn"


def backends(cfg: RunConfig) -> tuple[str, str]:
    return cfg.render.backend.name, cfg.field.hash_grid.backend.name


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """Lets all accelerators work, or fail with the error given."""

    def let(error: Exception | None) -> None:
        def attempt(cfg: RunConfig, device: torch.device) -> None:
            if error is not None:
                raise error

        for name in ("NERFACC", "TCNN", "TRITON"):
            accelerator = getattr(accelerators, name)._replace(attempt=attempt)
            monkeypatch.setattr(accelerators, name, accelerator)

    return let


def test_a_processor_computes_with_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: one line that says so; the run is the same run."""
    cfg = tiny(tmp_path)
    settled = settle(cfg, CPU, {})
    assert backends(settled) == ("torch", "torch")
    assert identity(settled) == identity(cfg)
    assert capsys.readouterr().out == "render.backend=torch, field.hash_grid.backend=torch\n"


@pytest.mark.parametrize(
    ("named", "install"),
    [
        (NERFACC, r'pip install nerfacc==0.5.3 ninja && python -c "import nerfacc.cuda._backend"'),
        (TCNN, r'pip install "setuptools<81" .*--no-build-isolation .*tiny-cuda-nn@6ee3546#subdirectory='),
    ],
)
def test_what_is_named_and_missing_has_its_install_line(
    tmp_path: Path, named: str, install: str, attempts: Callable[[Exception | None], None]
) -> None:
    """Oracle: the setting, its value, what is wrong and both remedies; without a GPU and with one."""
    cfg = tiny(tmp_path, named)
    remedies = rf": choose {named.split('=')[0]}=torch or, .*install it: {install}"
    with pytest.raises(UserError, match=rf"^{named}: it needs a CUDA device.* on cpu{remedies}"):
        settle(cfg, CPU, {})
    attempts(OSError("Unknown compute capability.\n Ensure CUDA."))
    with pytest.raises(UserError, match=rf"^{named}: Unknown compute capability. Ensure CUDA{remedies}"):
        settle(cfg, CUDA, {})


@pytest.mark.parametrize("error", [ImportError("no module"), OSError("no GPU"), RuntimeError("no kernel")])
def test_auto_takes_what_works(
    tmp_path: Path,
    error: Exception,
    attempts: Callable[[Exception | None], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Oracle: the accelerators where they work, and torch, with the reason, for whatever they fail with."""
    cfg = tiny(tmp_path)
    attempts(None)
    assert backends(settle(cfg, CUDA, {})) == ("nerfacc", "tcnn")
    assert capsys.readouterr().out == "render.backend=nerfacc, field.hash_grid.backend=tcnn\n"
    attempts(error)
    assert backends(settle(cfg, CUDA, {})) == ("torch", "torch")
    assert capsys.readouterr().out == (
        f"render.backend=torch (nerfacc: {error}), "
        f"field.hash_grid.backend=torch (tcnn: {error}; triton: {error})\n"
    )


def test_torch_can_be_named_where_accelerators_work(
    tmp_path: Path, attempts: Callable[[Exception | None], None]
) -> None:
    """Oracle: what was named."""
    attempts(None)
    cfg = tiny(tmp_path, "render.backend=torch", "field.hash_grid.backend=torch")
    assert backends(settle(cfg, CUDA, {})) == ("torch", "torch")


def test_settings_beyond_an_accelerator_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the layout's own sentence; an error where tcnn is named, a remark otherwise."""
    real = accelerators.TCNN.attempt
    on_cpu = accelerators.TCNN._replace(attempt=lambda cfg, device: real(cfg, CPU))
    monkeypatch.setattr(accelerators, "TCNN", on_cpu)
    features = "field.hash_grid.features=3"
    with pytest.raises(UserError, match=f"^{features} is none of tiny-cuda-nn's"):
        settle(tiny(tmp_path, features, TCNN, "render.backend=torch"), CUDA, {})
    settled = settle(tiny(tmp_path, features, "render.backend=torch"), CUDA, {})
    assert backends(settled) == ("torch", "torch")
    assert f"(tcnn: {features} is none of" in capsys.readouterr().out


def test_triton_is_taken_where_tcnn_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the order tcnn, triton, torch; the kernels are really tried, in Triton's interpreter."""
    levels = ["field.hash_grid.levels=1", "field.hash_grid.log2_table=8", "render.backend=torch"]
    real = accelerators.TRITON.attempt
    on_cpu = accelerators.TRITON._replace(attempt=lambda cfg, device: real(cfg, CPU))
    monkeypatch.setattr(accelerators, "TRITON", on_cpu)
    assert backends(settle(tiny(tmp_path, *levels), CUDA, {})) == ("torch", "triton")
    assert "field.hash_grid.backend=triton (tcnn: " in capsys.readouterr().out
    monkeypatch.setattr(InTriton, "encode", lambda self, points, table: torch.zeros(len(points), 4))
    assert backends(settle(tiny(tmp_path, *levels), CUDA, {})) == ("torch", "torch")
    assert "triton: it does not encode as torch does on this device" in capsys.readouterr().out


def test_a_continued_run_keeps_its_backends_or_says_so(
    tmp_path: Path, attempts: Callable[[Exception | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: what was named, else what was used before, else torch; a change is said."""
    attempts(None)
    cfg = tiny(tmp_path)
    plain, accelerated = ({"config": as_dict(settle(cfg, device, {}))} for device in (CPU, CUDA))
    capsys.readouterr()
    assert backends(settle(cfg, CUDA, plain)) == ("torch", "torch")
    assert backends(settle(cfg, CUDA, accelerated)) == ("nerfacc", "tcnn")
    assert "so far" not in capsys.readouterr().out
    assert backends(settle(cfg, CPU, accelerated)) == ("torch", "torch")
    said = capsys.readouterr().out
    assert "this run used nerfacc so far: its numbers will differ" in said
    assert "this run used tcnn so far: its numbers will differ" in said
    assert backends(settle(tiny(tmp_path, NERFACC), CUDA, plain)) == ("nerfacc", "torch")
    assert "render.backend=nerfacc (this run used torch so far" in capsys.readouterr().out


def test_runs_from_before_the_choice_used_torch(
    tmp_path: Path, attempts: Callable[[Exception | None], None]
) -> None:
    """Oracle: their settings name no backend, and they go on with torch on any machine."""
    attempts(None)
    settings = as_dict(tiny(tmp_path))
    del settings["render"]["backend"], settings["field"]["hash_grid"]["backend"]
    assert backends(settle(tiny(tmp_path), CUDA, {"config": settings})) == ("torch", "torch")


def test_nerfacc_is_not_built_here_and_nobody_starts_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: an ImportError, and no file where its compiler would write; a broken library is one, too."""
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    with pytest.raises(ImportError, match="has not been built"):
        accelerators._attempt_nerfacc(tiny(tmp_path), CPU)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    (tmp_path / "nerfacc_cuda").mkdir()
    (tmp_path / "nerfacc_cuda" / "nerfacc_cuda.so").write_text("no library")
    with pytest.raises(ImportError, match=r"nerfacc_cuda\.so"):
        accelerators._attempt_nerfacc(tiny(tmp_path), CPU)


@pytest.mark.parametrize("sums", [[0.0, 1.0], [0.0, 0.0]])
def test_nerfaccs_sums_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sums: list[float]
) -> None:
    """Oracle: by hand; a kernel that did nothing is no accelerator, though it raised no error."""
    built = types.ModuleType("nerfacc.csrc")
    built.__spec__ = importlib.machinery.ModuleSpec("nerfacc.csrc", None)
    monkeypatch.setitem(sys.modules, "nerfacc.csrc", built)

    def exclusive_sum(inputs: Tensor, packed_info: Tensor) -> Tensor:
        assert (inputs.tolist(), packed_info.tolist()) == ([1, 1], [[0, 2]])
        return torch.tensor(sums)

    monkeypatch.setattr(nerfacc, "exclusive_sum", exclusive_sum)
    if sums == [0, 1]:
        accelerators._attempt_nerfacc(tiny(tmp_path), CPU)
    else:
        with pytest.raises(RuntimeError, match=r"up to \[0\.0, 0\.0\]"):
            accelerators._attempt_nerfacc(tiny(tmp_path), CPU)


def test_tcnn_encodes_a_point_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: absent it is an ImportError; one that blends right passes, one that gives zeros does not."""
    monkeypatch.setitem(sys.modules, "tinycudann", None)  # as if it were not installed
    with pytest.raises(ImportError):
        accelerators._attempt_tcnn(tiny(tmp_path), CPU)
    stand_in = types.SimpleNamespace(Encoding=kernels.Encoding)
    monkeypatch.setitem(sys.modules, "tinycudann", stand_in)
    accelerators._attempt_tcnn(tiny(tmp_path), CPU)
    monkeypatch.setattr(kernels.Encoding, "forward", lambda self, x: torch.zeros(len(x), 4))
    with pytest.raises(RuntimeError, match="does not blend"):
        accelerators._attempt_tcnn(tiny(tmp_path), CPU)
