"""The fake feed server: it behaves like other people's servers, slow and broken in every way."""
