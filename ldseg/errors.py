"""The errors that LDSeg raises on bad input; their text is one line, fit to be shown to a user as it is."""


class LDSegError(Exception):
    """Anything that the user of LDSeg can put right: a setting, a file, a folder."""


class ConfigError(LDSegError, ValueError):
    """A setting that is missing, unknown, misspelt or out of range."""


class DataError(LDSegError, ValueError):
    """An image, a label or a data folder that cannot be used."""


class WeightsError(LDSegError, ValueError):
    """Weights that are absent, damaged, or made for another network."""
