"""What this machine's processor is good at."""

import torch


def multiplies_bfloat16_fast() -> bool:
    """Whether matrix products run faster in bfloat16 than in float32.

    With AMX, or with AVX512-BF16 but on Intel's processors, where that alone was measured to be slower.
    """
    can = torch.cpu.get_capabilities()
    return bool(
        can.get("amx_bf16", False)
        or (can.get("avx512_bf16", False) and "Intel" not in str(can.get("cpu_name", "")))
    )
