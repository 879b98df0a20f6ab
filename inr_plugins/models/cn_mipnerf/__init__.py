"""mip-NeRF with normalisations."""
