"""What other programs run: SavedModel for TF Serving, and TFLite."""
