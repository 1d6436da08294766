"""botocore's descriptions of AWS's services, read once a process.

A session reads them anew for its clients, of EC2 for a fifth of a second, and here each client has a session of its
own, for what the environment says may have changed.
"""

from functools import cache

from botocore.loaders import Loader, create_loader


@cache
def shared_models(data_path: str | None) -> Loader:
    """What all sessions read descriptions by, and remembers them.

    Args:
        data_path: folders with further descriptions, as botocore's setting `data_path` (`AWS_DATA_PATH`) has them.
    """
    return _SharedLoader(create_loader(data_path).search_paths, include_default_search_paths=False)


class _SharedLoader(Loader):  # type: ignore[misc]  # botocore has no types
    @property
    def search_paths(self) -> list[str]:
        """A copy: each session of boto3 adds its folder of resources, unused here, and the list would grow."""
        return [*super().search_paths]
