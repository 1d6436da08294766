"""The settings of bronze: which photographs there are, and which of them are taken."""

import os
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from bronze.formats import Format
from bronze.inventory_uri import SCHEME, inventory_name, is_inventory, source_bucket
from bronze.judgement import Limits
from lakehouse.errors import SettingsError
from lakehouse.settings import LakeSettings
from lakehouse.storage.access import Access
from lakehouse.storage.uri import S3, absolute_uri, bucket_of, check_utf8, local_path, on_disk


class BronzeSettings(LakeSettings):
    """See `conf/local.yaml` for the meaning and the default of each key."""

    images: str | None
    images_access: Access
    inventory_prefix: str | None
    removed_images: Literal["keep", "delete"]
    formats: Annotated[list[Format], Field(min_length=1)]
    max_bytes: Annotated[int, Field(gt=0)]
    max_pixels: Annotated[int, Field(gt=0)]
    splits: list[str]
    unlabelled_folders: list[str]
    labels: str | None
    skip: list[str]
    readers: Annotated[int, Field(ge=1, le=256)]

    @field_validator("images")
    @classmethod
    def _as_uri_or_inventory(cls, value: str | None) -> str | None:
        return check_utf8(inventory_name(value)) if value is not None and is_inventory(value) else cls._as_uri(value)

    @field_validator("labels")
    @classmethod
    def _as_uri(cls, value: str | None) -> str | None:
        return None if value is None else check_utf8(absolute_uri(value))

    @field_validator("images_access")
    @classmethod
    def _of_other_bucket(cls, value: Access, info: ValidationInfo) -> Access:
        images, lake = (str(info.data.get(key)) for key in ("images", "lake"))
        bucket = source_bucket(images) if is_inventory(images) else bucket_of(images)
        if value is not Access.SIGNED and bucket is not None and bucket == bucket_of(lake):
            raise ValueError(
                f"the lake is in the photographs' bucket {bucket}, and is written by our credentials at its "
                f"owner's cost. Say `{Access.SIGNED}`, or put the lake elsewhere."
            )
        return value

    @field_validator("inventory_prefix")
    @classmethod
    def _of_a_folder(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not is_inventory(str(info.data.get("images"))):
            raise ValueError(
                f"it restricts an S3 Inventory, and `images` names none ({SCHEME}{S3}…). Name the folder in `images`."
            )
        return (value and check_utf8(value).strip("/")) or None

    @field_validator("skip")
    @classmethod
    def _of_names(cls, value: list[str]) -> list[str]:
        for pattern in value:
            if "/" in pattern.removesuffix("/") or not pattern.removesuffix("/"):
                raise ValueError(
                    f"{pattern!r} matches nothing: a pattern is of one name, with a slash at its end where it is a "
                    "folder's."
                )
        return value

    @property
    def limits(self) -> Limits:
        """What is taken as a photograph."""
        return Limits(self.formats, self.max_bytes, self.max_pixels)

    @property
    def inventory(self) -> str | None:
        """The URI of the manifest that names the images, or of the folder of manifests; None where they are listed."""
        return self.images.removeprefix(SCHEME) if self.images is not None and is_inventory(self.images) else None

    @property
    def root(self) -> str | None:
        """The URI that the images are under; None where none was given."""
        if self.images is None or self.inventory is None:
            return self.images
        return "/".join(
            [f"{S3}{source_bucket(self.images)}", *([self.inventory_prefix] if self.inventory_prefix else [])]
        )

    @property
    def source(self) -> str:
        """The URI that the images are under; a SettingsError where none was given, or the lake's."""
        if self.root is None:
            raise SettingsError(
                "No photographs were named. Say where they are: `--images FOLDER`, the environment variable "
                "FRUITS_IMAGES, or the key `images` in the settings file."
            )
        if _real(self.root) == _real(self.lake):
            raise SettingsError(
                f"{self.root} is both the lake and the photographs' folder, so that the lake's own files would be "
                "taken for photographs. Name another folder for one of them; either may lie in the other."
            )
        return self.root


def _real(uri: str) -> str:
    return os.path.realpath(local_path(uri)) if on_disk(uri) else uri
