"""The settings of gold: how much of the variance the principal components explain."""

from typing import Annotated

from pydantic import Field

from silver.settings import SilverSettings


class GoldSettings(SilverSettings):
    """See `conf/local.yaml` for the meaning and the default of each key."""

    threshold: Annotated[float, Field(gt=0, le=1)]
    threshold_slack: Annotated[float, Field(ge=0, lt=1)]
