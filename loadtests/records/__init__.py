"""What a load leaves behind, as typed records: rows, the recording that they are part of, exit statuses."""
