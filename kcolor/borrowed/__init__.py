"""Networks that others have trained, read from the packages that hold them."""
