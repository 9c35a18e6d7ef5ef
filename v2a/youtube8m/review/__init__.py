"""The page on which a person keeps or drops each video."""
