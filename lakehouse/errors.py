"""Every error this project raises on purpose: what is wrong, where, and what to do."""


class LakehouseError(Exception):
    """The work failed; the message says what is wrong, where, and what to do (exit status 1)."""


class SettingsError(LakehouseError):
    """The call or the settings are wrong (exit status 2)."""


class StorageError(LakehouseError):
    """A folder or file that the work needs cannot be listed, read or written."""


class ForeignTableError(LakehouseError):
    """A table has a layout that this version of the project does not know; it was not touched."""


class OutdatedTableError(LakehouseError):
    """A table has the layout of an older release; it can be migrated, and was not touched."""


class DamagedTableError(LakehouseError):
    """A file of a table's, of its log or its data, is gone or cannot be read."""


class TamperedModelError(LakehouseError):
    """A converted model is not the one that the lake's features were computed with; it was not loaded."""


class MirrorError(LakehouseError):
    """MLflow cannot show the lake's models, or be asked about them; the lake itself is well."""


class NotHeldError(LakehouseError):
    """What was named is not in the lake, or not all of it was named; nothing was changed."""


class LeaseHeldError(LakehouseError):
    """Somebody else writes to the lake at present; nothing was written."""


class LeaseLostError(LakehouseError):
    """This run's lease on the lake is no longer its own; it writes nothing more."""
