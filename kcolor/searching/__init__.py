"""The search over experiments: keras-tuner, made to survive."""
