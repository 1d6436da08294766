"""The one list of all tables, composed of each layer's own."""

from enum import StrEnum

import bronze.migrations
import bronze.tables
import gold.migrations
import gold.tables
import lakehouse.models.tables
import silver.tables
from lakehouse.runs.table import RUNS


class Layer(StrEnum):
    """The layers, in the order of their jobs."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


BY_LAYER = {Layer.BRONZE: bronze.tables.TABLES, Layer.SILVER: silver.tables.TABLES, Layer.GOLD: gold.tables.TABLES}
"""The tables of each layer, the layers in the order of their jobs."""

OF_LAYERS = tuple(table for tables in BY_LAYER.values() for table in tables)
"""The tables of all layers."""

TABLES = (*OF_LAYERS, *lakehouse.models.tables.TABLES)
"""All tables of the layers, and of the models."""

ALL_TABLES = (*TABLES, RUNS)
"""All that can be asked: the history of runs, too, which is no layer's."""

MIGRATIONS = (*bronze.migrations.MIGRATIONS, *gold.migrations.MIGRATIONS)
"""What brings tables of older releases to this one, in order; a layer lists its own in `migrations.py`."""

WITHOUT_HISTORY = frozenset(table.name for table in TABLES if not table.history)
"""Names of those that are written whole at each change, and keep no history."""

OF_PHOTOGRAPHS = tuple(table for table in TABLES if "path" in table.schema.names)
"""Those whose rows name photographs, which can be erased."""
