"""Encoders by their names, each in a module of its own that keeps to `EncoderModule`."""

from importlib import import_module

from lakehouse.errors import SettingsError
from silver.encoders.base import EncoderModule

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


def module_of(feature_version: str) -> EncoderModule:
    """The module of the encoder that a feature version names.

    Raises:
        SettingsError: this installation has no such encoder.
    """
    return encoder_module(feature_version.partition("-")[0])
