"""What a network achieved: metrics, tables, pictures. For evaluate."""
