"""A trained model as one folder: weights, config and a card; and how such folders, and run folders, are opened again."""
