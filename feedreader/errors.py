"""What this package raises. Each message is a sentence that the person who caused it can act on."""


class FeedReaderError(Exception):
    """Base of all errors of this package."""


class SettingsError(FeedReaderError):
    """An environment variable holds something that can't be used."""


class BadAddress(FeedReaderError):
    """A visitor's text is not an address that can be fetched. The message says why, to the visitor."""


class FetchFailed(FeedReaderError):
    """A feed could not be had from its server. The message says why, to the visitor."""
