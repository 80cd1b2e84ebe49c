"""Market mechanisms measured: properties on random books, and speed."""
