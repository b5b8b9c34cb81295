"""A small generator with random weights, in the folder layout of the one that ships."""

import pytest


@pytest.fixture(scope="session")
def random_generator(tmp_path_factory):
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    from emma.dreamtransfer.pipeline import DreamTransfer
    from emma.dreamtransfer.prompts import Grammar
    from emma.dreamtransfer.training.autoencoder import LATENTS, new_autoencoder
    from emma.dreamtransfer.training.text import new_text_encoder, new_tokenizer, vocabulary
    from emma.dreamtransfer.training.transformer import new_transformer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "random"
    tokenizer = new_tokenizer(vocabulary(Grammar.load("desk"), 50))
    DreamTransfer(
        tokenizer=tokenizer,
        text_encoder=new_text_encoder(tokenizer),
        vae=new_autoencoder(),
        transformer=new_transformer(layers=2, heads=2, head_width=16, hidden=32, every=1),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        views=("top", "wrist"),
        latents_mean=[0.0] * LATENTS,
        latents_std=[1.0] * LATENTS,
        settings={"steps": 2, "window": 4, "overlap": 1},
    ).save_pretrained(folder)
    return folder
