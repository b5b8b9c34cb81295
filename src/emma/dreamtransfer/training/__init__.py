"""Training of a small generator in stages: autoencoder, text encoder, transformer. Each resumes where it was."""
