"""The settings of silver: what makes features, and when models are fitted anew."""

from typing import Annotated, Literal

from pydantic import Field

from lakehouse.settings import LakeSettings

Refit = Literal["auto", "always", "never"]


class SilverSettings(LakeSettings):
    """See `conf/local.yaml` for the meaning and the default of each key. `refit` is gold's rule too."""

    encoder: str
    weights: str | None
    scaler_mean_limit: Annotated[float, Field(gt=0)]
    scaler_variance_range: tuple[Annotated[float, Field(gt=0, lt=1)], Annotated[float, Field(gt=1)]]
    refit: Refit
