"""The fake feed server: other people's servers, slow and broken in all their ways."""
