"""Loading a judge: transformers' own answers, any picture size, and one sentence where it cannot be had."""

from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPTokenizer

from src.errors import UserError
from src.evaluation.judge.judge import BUNDLED, CHECKOUT, load_judge
from tests.evaluation.judges import write_tiny_clip

TEXTS = ["a red lion", "a photo of a golden cat made of 7 unheard-of words, back view"]


def images(size: int) -> torch.Tensor:
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))


def five_looks(size: int) -> list[torch.Tensor]:
    """images(size) in place and moved by 3% of the side both ways; the border's pixels go on outwards."""
    step, looks = round(0.03 * size), []
    for down, right in ((0, 0), (-step, -step), (-step, step), (step, -step), (step, step)):
        rows = (torch.arange(size) + down).clamp(0, size - 1)
        columns = (torch.arange(size) + right).clamp(0, size - 1)
        looks.append(images(size)[:, :, rows][..., columns])
    return looks


def mean_direction(rows: list[torch.Tensor]) -> torch.Tensor:
    """Of unit vectors."""
    return torch.nn.functional.normalize(torch.stack(rows).sum(0), dim=-1)


def test_the_bundled_judge_is_a_stock_clip() -> None:
    """Oracle: CLIPModel.from_pretrained(folder)'s own five looks. 1e-5: another order of the batch."""
    folder = CHECKOUT / BUNDLED
    model, tokens = CLIPModel.from_pretrained(folder).float().eval(), CLIPTokenizer.from_pretrained(folder)
    ids = tokens(TEXTS, padding="max_length", max_length=77, return_tensors="pt")
    words = {"input_ids": ids.input_ids, "attention_mask": ids.attention_mask}
    with torch.no_grad():
        out = [model(**words, pixel_values=look * 2 - 1) for look in five_looks(60)]
    seen, read = mean_direction([look.image_embeds for look in out]), out[0].text_embeds
    judge = load_judge()
    torch.testing.assert_close(judge.images(images(60)), seen, rtol=0, atol=1e-5)
    torch.testing.assert_close(judge.texts(TEXTS), read, rtol=0, atol=1e-5)
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= 4e6
    assert judge.errors is not None


@pytest.mark.parametrize("size", [32, 80])
def test_a_clip_of_another_size_goes_through_the_same_lines(tmp_path: Path, size: int) -> None:
    """Oracle: the model's own embeddings of pictures that were moved, resized and normalised by hand."""
    write_tiny_clip(tmp_path, size)
    judge, model = load_judge(str(tmp_path)), CLIPModel.from_pretrained(tmp_path).eval()
    seen = []
    for look in five_looks(64):
        shown = torch.nn.functional.interpolate(look, (size, size), mode="bicubic", antialias=True)
        pixels = (shown.clamp(0, 1) - torch.tensor([0.4, 0.5, 0.6])[:, None, None]) / 0.5
        with torch.no_grad():
            ids = judge._tokenizer(TEXTS, padding=True, return_tensors="pt")
            out = model(input_ids=ids.input_ids, attention_mask=ids.attention_mask, pixel_values=pixels)
        seen.append(out.image_embeds)
    torch.testing.assert_close(judge.images(images(64)), mean_direction(seen), rtol=0, atol=1e-5)
    torch.testing.assert_close(judge.texts(TEXTS), out.text_embeds, rtol=0, atol=1e-5)
    assert judge.errors is None


def test_a_picture_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    """Oracle: one by one, the same vectors; a batch is only quicker."""
    judge = load_judge(str(write_tiny_clip(tmp_path, 32)))
    many = torch.rand(70, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(judge.images(many)[65:66], judge.images(many[65:66]), rtol=0, atol=1e-5)
    torch.testing.assert_close(judge.texts(TEXTS)[1:], judge.texts(TEXTS[1:]), rtol=0, atol=1e-5)


def test_a_judge_that_cannot_be_had_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: UserError naming judge= and the remedy: no folder, an empty one, a pickle, half a file."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    pickled = write_tiny_clip(tmp_path / "pickled", 32)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    broken = write_tiny_clip(tmp_path / "broken", 32)
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:2000])
    for name in ("nobody/nothing", str(tmp_path / "empty"), str(pickled), str(broken)):
        with pytest.raises(UserError) as said:
            load_judge(name)
        assert str(said.value).startswith(f"judge={name} cannot be loaded (")
        assert str(said.value).endswith(
            f"choose judge={BUNDLED} (bundled), a folder or a hub id in transformers' CLIPModel format"
        )
        assert "\n" not in str(said.value)
