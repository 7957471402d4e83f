"""The larger model of the lab: a Llama of 844 thousand parameters with the same words, shipped pre-trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rlx.model.lab import Lab

BASE = Path(__file__).parent / "lab_large_base"
# What scripts/pretrain_lab_base.py --model lab_large wrote, and prints at its end.
SHA256 = {
    "config.json": "3334d967f84bd4dcb82a13d8d9d430b580e4bdbcd39b2f83d3ac29d0815c4dba",
    "generation_config.json": "f0c4ce2aef2b0ebd7e272d2c7f41491e843b68486f112c5b07f8374e762bc571",
    "model.safetensors": "189b870a54024a47de37bbfe63ebc8cf3a556370eb38ba7a4e1ec4e3594ba4f0",
    "tokenizer.json": "8d148d50e579c7a1bb4616b7a7128d5c78a102158db83003aa0bfce70505b516",
    "tokenizer_config.json": "b1e40b102527cbed779819eab0d7e056f271e172c5fda6d0eb5b83137a3d80bf",
}


@dataclass(frozen=True)
class LabLarge(Lab):
    """As `Lab`, with another base."""

    base: ClassVar[Path] = BASE
    sha256: ClassVar[Mapping[str, str]] = SHA256
