"""Anyone's photos, coloured at their own size."""
