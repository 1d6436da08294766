"""Encoders by their names, each in a module of its own that keeps to `EncoderModule`."""

from importlib import import_module

from lakehouse.errors import SettingsError
from silver.encoders.base import Encoder, EncoderModule

ENCODERS = {"mobilenetv2": "silver.encoders.mobilenet"}
"""By the name that the setting `encoder` gives and a feature version begins with: the module, imported when used."""


def encoder_module(name: str) -> EncoderModule:
    """The module of an encoder.

    Raises:
        SettingsError: there is no encoder of that name.
    """
    if name not in ENCODERS:
        raise SettingsError(f"Unknown encoder {name!r}; the setting `encoder` is one of: {', '.join(ENCODERS)}.")
    module: EncoderModule = import_module(ENCODERS[name])
    return module


def prepare_encoder(name: str, weights: str | None, folder: str) -> Encoder:
    """The encoder of a name, by its module's `prepare`.

    Raises:
        SettingsError: there is no encoder of that name.
        WeightsNotFoundError: the weights are nowhere to be had.
        ValueError: its feature version does not name it, so that `module_of` would not find it again.
    """
    encoder = encoder_module(name).prepare(weights, folder)
    if not encoder.feature_version.startswith(f"{name}-"):
        raise ValueError(
            f"The encoder {name} has the feature version {encoder.feature_version!r}, which must begin with {name}- "
            "so that its features can be computed again."
        )
    return encoder


def module_of(feature_version: str) -> EncoderModule:
    """The module of the encoder that a feature version names.

    Raises:
        SettingsError: this installation has no such encoder.
    """
    return encoder_module(encoder_of(feature_version))


def encoder_of(feature_version: str) -> str:
    """The name of the encoder that a feature version begins with: of two names, the longer; of none, its first word."""
    names = [name for name in ENCODERS if feature_version.startswith(f"{name}-")]
    return max(names, key=len, default=feature_version.partition("-")[0])
