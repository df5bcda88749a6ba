"""Inception-v3, by whose features the usual FID is computed."""

from __future__ import annotations

import keras

from kcolor.errors import UserError, first_line

SIZE = 299


def encoder() -> keras.Model:
    """Returns the network with its weights, which are fetched once.

    Returns:
        A model from photos, (N, H, W, 3), 0 to 255, of any size, to features,
        (N, 2048), in float32. Photos are brought to 299 pixels without regard
        to their shape.

    Raises:
        UserError: The weights are neither there nor to be had.

    Reference:
        Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer
        Vision".
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        network = keras.applications.InceptionV3(
            include_top=False, pooling="avg"
        )
    except Exception as error:  # what fetching raises depends on the network
        raise UserError(
            f"the weights of Inception-v3 cannot be fetched "
            f"({first_line(error)}): use fid_efficientnet_lite0, or a machine "
            "with network"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)

    photos = keras.Input((None, None, 3), dtype="float32")
    x = keras.layers.Resizing(SIZE, SIZE, antialias=True, dtype="float32")(
        photos
    )
    x = keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32")(x)
    network.trainable = False
    return keras.Model(photos, network(x, training=False))
