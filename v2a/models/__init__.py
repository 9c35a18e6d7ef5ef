"""The networks: video to codes and back. `make.make_vqvae` makes one from its settings."""
