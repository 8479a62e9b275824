"""The bundled prior's parts, untrained: tokenizer, text encoder, autoencoder, denoiser, noise schedule.

All are stock diffusers and transformers classes in the layout of a StableDiffusionPipeline folder, only
small. The autoencoder starts as a pyramid of Haar wavelets (residual branches at zero): from the libraries'
own initialisation it spends its first thousands of steps finding that solution. It is thin where pictures are
large: its encoder runs forward and backward in every step of a 3-D run.
"""

import copy
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, ModelMixin, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, PreTrainedModel

TOKENS = 77
TEXT_WIDTH = 128
LATENT_CHANNELS = 8
LATENT_SIZE = 16
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def noise_schedule() -> DDIMScheduler:
    """Stable Diffusion's own schedule."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def autoencoder() -> AutoencoderKL:
    """[B, 3, 128, 128] in [-1, 1] <-> latents [B, 8, 16, 16]; 0.66 M parameters."""
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=8 * LATENT_SIZE,
        scaling_factor=1.0,
    )
    wavelets = 3  # channels that hold something from the start: the colours
    with torch.no_grad():
        for module in vae.modules():
            if type(module).__name__ == "ResnetBlock2D":
                module.conv2.weight.zero_()
                module.conv2.bias.zero_()
                if module.conv_shortcut is not None:
                    _identity(module.conv_shortcut)
            elif type(module).__name__ == "Upsample2D":
                _identity(module.conv)
            elif type(module).__name__ == "Downsample2D":
                wavelets = _haar(module.conv, wavelets)
        _identity(vae.encoder.conv_in)
        _identity(vae.decoder.conv_in)
        vae.quant_conv.bias[LATENT_CHANNELS:] = -5.0  # posterior log-variance: start almost deterministic
    return vae


def _identity(conv: nn.Conv2d) -> None:
    """Pass the first channels through unchanged; the rest keep a tenth of their random weights."""
    out, inner, height, width = conv.weight.shape
    assert conv.bias is not None
    conv.weight.mul_(0.1)
    conv.bias.zero_()
    for c in range(min(out, inner)):
        conv.weight[c] = 0
        conv.weight[c, c, height // 2, width // 2] = 1


def _haar(conv: nn.Conv2d, inputs: int) -> int:
    """2x2 means of the first `inputs` channels, then their differences across and down while there is room.

    Returns how many channels now hold something; the rest keep a tenth of their random weights.
    """
    mean, across, down = torch.tensor([[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]]]) / 4
    assert conv.bias is not None
    conv.weight.mul_(0.1)
    conv.bias.zero_()
    wanted = [(c, mean) for c in range(inputs)] + [(c, p) for c in range(inputs) for p in (across, down)]
    filled = wanted[: conv.out_channels]
    for out, (c, pattern) in enumerate(filled):
        conv.weight[out] = 0
        conv.weight[out, c, :2, :2] = pattern
    return len(filled)


def denoiser() -> UNet2DConditionModel:
    """eps(z_t; t, text) on [B, 8, 16, 16]."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 96, 160),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(2, 3, 5),  # diffusers' name for the number of heads
        norm_num_groups=16,
        use_linear_projection=True,
        # The whole sentence, pooled, beside the time: what is asked of every pixel (the view, above all) is
        # learnt sooner.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def write_tokenizer(words: list[str], folder: Path) -> None:
    """Write a byte-pair tokenizer to which every given word is one token, in CLIP's file format.

    A word here is a run of letters: CLIP itself splits digits and punctuation off ("3D" is two tokens).
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=1 << 16,
        min_frequency=1,
        end_of_word_suffix="</w>",
        initial_alphabet=alphabet,
        # Numbered here and not as they are met, which is in hash order: equal counts are merged by number.
        special_tokens=[c + "</w>" for c in alphabet],
        show_progress=False,
    )
    bpe.train_from_iterator([word.lower() for word in words], trainer)
    merges = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    entries = alphabet + [c + "</w>" for c in alphabet] + ["".join(pair) for pair in merges] + SPECIAL
    vocab = {entry: i for i, entry in enumerate(dict.fromkeys(entries))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8"
    )
    start, end = SPECIAL
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    settings = {"model_max_length": TOKENS, "do_lower_case": True, "add_prefix_space": False}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**special, **settings, "tokenizer_class": "CLIPTokenizer"})
    )


def text_encoder(tokens: CLIPTokenizer) -> CLIPTextModel:
    """Two causal transformer layers of width 128 over 77 tokens."""
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
        )
    )
    # The library starts words at a hundredth of this, and what the layers add soon drowns which word it was.
    nn.init.normal_(encoder.get_input_embeddings().weight)
    return encoder


def copied_as_half(module: ModelMixin | PreTrainedModel) -> ModelMixin | PreTrainedModel:
    """A float16 copy in plain memory order, for export."""
    return copy.deepcopy(module).to(torch.float16).to(memory_format=torch.contiguous_format)
