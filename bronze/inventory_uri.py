"""How the setting `images` names an S3 Inventory: `inventory+` and the URI of a manifest, or of the folder above."""

import re

from lakehouse.storage.uri import S3, absolute_uri

SCHEME = "inventory+"
MANIFEST = "manifest.json"
DATE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z")
"""The name of the folder that holds one manifest."""


def is_inventory(images: str) -> bool:
    """Whether a value of the setting `images` names an inventory."""
    return images.startswith(SCHEME)


def inventory_name(images: str) -> str:
    """A name of an inventory with an absolute URI.

    Raises:
        ValueError: it does not lie as S3 writes inventories, so that nobody knows its bucket; or it is no URI.
    """
    name = SCHEME + absolute_uri(images.removeprefix(SCHEME))
    source_bucket(name)
    return name


def source_bucket(images: str) -> str:
    """The bucket whose objects an inventory names, by where S3 has put it.

    Raises:
        ValueError: the name is not one that S3 gives to an inventory.
    """
    parts = images.removeprefix(SCHEME).partition("://")[2].split("/")
    if parts[-1] == MANIFEST:
        parts = parts[:-2]
    elif DATE.fullmatch(parts[-1]):
        parts = parts[:-1]
    if len(parts) < 3 or not parts[-2]:
        raise ValueError(
            f"an inventory is named as S3 puts it: {SCHEME}{S3}bucket/prefix/source-bucket/configuration, of which the "
            f"newest is taken, or with /date/{MANIFEST} behind it."
        )
    return parts[-2]
