"""The errors of this package. Each message is a sentence that its reader can act on."""


class FeedReaderError(Exception):
    """Base of all errors in this package."""


class SettingsError(FeedReaderError):
    """An environment variable has a value that can't be used."""


class BadAddress(FeedReaderError):
    """What a visitor entered is not an address that can be fetched. The message tells the visitor why."""


class FetchFailed(FeedReaderError):
    """A feed could not be fetched. The message tells the visitor why."""
