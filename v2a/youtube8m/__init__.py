"""From the records of YouTube-8M to a reviewed list of videos for `prepare`: select, resolve, fetch, review."""
