"""The settings of bronze: which photographs there are, and which of them are taken."""

import os
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from bronze.formats import Format
from bronze.judgement import Limits
from lakehouse.errors import SettingsError
from lakehouse.settings import LakeSettings
from lakehouse.storage.access import Access
from lakehouse.storage.uri import absolute_uri, bucket_of, check_utf8, local_path, on_disk


class BronzeSettings(LakeSettings):
    """See `conf/local.yaml` for the meaning and the default of each key."""

    images: str | None
    images_access: Access
    removed_images: Literal["keep", "delete"]
    formats: Annotated[list[Format], Field(min_length=1)]
    max_bytes: Annotated[int, Field(gt=0)]
    max_pixels: Annotated[int, Field(gt=0)]
    splits: list[str]
    unlabelled_folders: list[str]
    labels: str | None
    skip: list[str]
    readers: Annotated[int, Field(ge=1, le=256)]

    @field_validator("images", "labels")
    @classmethod
    def _as_uri(cls, value: str | None) -> str | None:
        return None if value is None else check_utf8(absolute_uri(value))

    @field_validator("images_access")
    @classmethod
    def _of_other_bucket(cls, value: Access, info: ValidationInfo) -> Access:
        images, lake = (str(info.data.get(key)) for key in ("images", "lake"))
        if value is not Access.SIGNED and bucket_of(images) is not None and bucket_of(images) == bucket_of(lake):
            raise ValueError(
                f"the lake is in the photographs' bucket {bucket_of(images)}, and is written by our credentials at its "
                f"owner's cost. Say `{Access.SIGNED}`, or put the lake elsewhere."
            )
        return value

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
    def source(self) -> str:
        """The images' URI; a SettingsError where none was given, or the lake's."""
        if self.images is None:
            raise SettingsError(
                "No photographs were named. Say where they are: `--images FOLDER`, the environment variable "
                "FRUITS_IMAGES, or the key `images` in the settings file."
            )
        if _real(self.images) == _real(self.lake):
            raise SettingsError(
                f"{self.images} is both the lake and the photographs' folder, so that the lake's own files would be "
                "taken for photographs. Name another folder for one of them; either may lie in the other."
            )
        return self.images


def _real(uri: str) -> str:
    return os.path.realpath(local_path(uri)) if on_disk(uri) else uri
