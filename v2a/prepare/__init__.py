"""Stage `prepare`: videos of any kind to verified shards of clips."""
