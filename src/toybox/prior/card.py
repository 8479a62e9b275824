"""The model card that travels with the bundled prior's weights, filled in from the world it was taught."""

import textwrap
from collections.abc import Sequence

from src.guidance.prompts import SUFFIXES, Views
from src.toybox.prior.networks import LATENT_CHANNELS, LATENT_SIZE
from src.toybox.world.captions import (
    ENDINGS,
    MATERIALS,
    OPENINGS,
    SYNONYMS,
    VAGUE,
    held_out,
    held_out_material,
)  # fmt: skip
from src.toybox.world.paint import BARE_MATERIAL, COLORS, PRECIOUS
from src.toybox.world.pictures import DEGRADED, OVERHEAD, SHARD, SIZE, TOY_CAMERA
from src.toybox.world.shapes import BASES, KINDS, PAIRS

# What a rebuild took when it was last measured; none of it can be computed here.
TIMES = {
    "the world": "about 10 minutes on two cores",
    "the autoencoder": "21 minutes on one core, to 31.5 dB",
    "the denoiser": "{samples} samples; one core is shown 16 to 35 a second, an H100 some 2,000",
}

TEMPLATE = """\
---
license: mit
library_name: diffusers
pipeline_tag: text-to-image
---

# toybox

A latent diffusion model of {kinds} kinds of objects, {size}x{size} pixels, {parameters:.1f} million
parameters ({unet:.1f} denoiser, {vae:.2f} autoencoder, {text:.2f} text encoder). It is the bundled prior of
nfsd3d, text-to-3D by score distillation: small enough to ship with the code and to run on a CPU, and a
teacher of shape rather than a painter. It predicts eps on {latents} latents, over Stable Diffusion's own
noise schedule.

A stock StableDiffusionPipeline loads it:

```python
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained("src/toybox/weights")
pipe("a red ceramic lion, side view").images[0].save("lion.png")
```

## What it knows

- Kinds ({kinds}): {kind_names}.
- Colours ({colors}): {color_names}.
- Materials ({materials}): plain, {material_names}; and, of a colour of their own, {precious_names}.
- Some on top of others: {on_top}.
- Other words for the same: {synonyms}.
- A material in other words: "made of gold", "made of leaves"; "a marble statue of a cat" (or figurine).
- Captions may open with {openings} and end with {endings}.
- Words for several kinds: {vague}.
- View words, appended to the prompt: "{views}".
- The empty prompt, and the words of NFSD's negative prompt alone or after an object.

`known_words.json` lists every word. What has a front turns it to the camera of ", front view".

## How it was made

Trained from nothing, by the code beside it, on renders of a procedural world of signed-distance solids. No
photograph, no scraped picture and no other model went into it. The cameras follow nfsd3d's own law (distance
{near} to {far}, field of view {fov_min:.0f} to {fov_max:.0f} degrees, elevation {low:.0f} to {high:.0f}
degrees), and {overhead:.0%} of the pictures look down from 60 to 85 degrees. {degraded:.0%} of the pictures
are degraded the way a half-formed radiance field is (soft density, fog, blur, floaters, flat or violent
colour) and captioned with words of the negative prompt.

`python -m src.toybox.train` makes one like it, {shard:,} pictures a shard:

{times}

No caption names these {pairs} pairs of colour and kind, nor these {material_pairs} of material and kind, so
that one can see what the model makes of pairs it was never told: {held_out}; {material_held_out}.

## What it cannot do

- Anything else: an unknown word is spelled out in letters that mean nothing to it.
- Other pairs on top of each other, counting, scenes, text, people.
- Paint parts: a caption's colour and material go to the main part, the others keep their own (black eyes,
  orange bills, wooden trunks).
- More detail than {size}x{size} pixels hold.
- Steep views: few pictures look down from above 60 degrees, none from below {low:.0f} degrees.

## Licence

MIT, for the weights as for the code: see LICENSE.
"""


def model_card(parameters: dict[str, int], samples: Sequence[int]) -> str:
    """The README of an exported prior: `parameters` of text, unet, vae; `samples` shown to the denoiser.

    More than one number of them: trained in turns, each from the weights of the one before.
    """
    pairs = [(kind, color) for kind in KINDS for color in COLORS if held_out(kind, color)]
    material_pairs = [(kind, m) for kind in KINDS for m in MATERIALS if held_out_material(kind, m)]
    views = dict.fromkeys(s.removeprefix(", ") for v in (Views.four, Views.eight) for s in SUFFIXES[v])
    shown = ", then ".join(f"{number:,}" for number in samples)
    card = TEMPLATE.format(
        kinds=len(KINDS),
        size=SIZE,
        latents="x".join(map(str, (LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE))),
        parameters=sum(parameters.values()) / 1e6,
        **{name: count / 1e6 for name, count in parameters.items()},
        kind_names=", ".join(kind.noun for kind in KINDS.values()),
        colors=len(COLORS),
        color_names=", ".join(COLORS),
        materials=1 + len(MATERIALS),
        material_names=", ".join(BARE_MATERIAL),
        precious_names=", ".join(PRECIOUS),
        on_top=", ".join(f"{KINDS[kind].noun} on {BASES[base].phrase}" for kind, base in PAIRS),
        synonyms=", ".join(f"{' or '.join(others)} for {word}" for word, others in SYNONYMS.items()),
        openings=", ".join(f'"{opening.strip()}"' for opening in OPENINGS),
        endings=", ".join(f'"{ending.strip(", ")}"' for ending in ENDINGS),
        vague=", ".join(VAGUE),
        views='", "'.join(views),
        near=TOY_CAMERA.distance_min,
        far=TOY_CAMERA.distance_max,
        fov_min=TOY_CAMERA.fov_degrees_min,
        fov_max=TOY_CAMERA.fov_degrees_max,
        low=TOY_CAMERA.elevation_degrees_min,
        high=TOY_CAMERA.elevation_degrees_max,
        overhead=OVERHEAD,
        degraded=DEGRADED,
        shard=SHARD,
        times="\n".join(f"- {part}: {t.format(samples=shown)}" for part, t in TIMES.items()),
        pairs=len(pairs),
        held_out=", ".join(f"{color} {KINDS[kind].noun}" for kind, color in pairs),
        material_pairs=len(material_pairs),
        material_held_out=", ".join(f"{m} {KINDS[kind].noun}" for kind, m in material_pairs),
    )
    return "\n".join(_wrapped(line) for line in card.split("\n"))


def _wrapped(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, 110, subsequent_indent=indent) if len(line) > 120 else line
