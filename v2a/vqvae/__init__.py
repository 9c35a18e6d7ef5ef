"""Stage `vqvae`: trains the 3D VQ-VAE whose codes stand for a video (stage 1 of the paper)."""
