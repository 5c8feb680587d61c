"""What a load leaves behind, as typed records: rows, recordings and results.json."""
