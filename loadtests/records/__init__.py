"""What a load leaves behind, as typed records: rows, recordings, results.json, exit statuses."""
