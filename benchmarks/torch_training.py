"""kcolor's training steps in PyTorch, for `peers.py`.

As who knows PyTorch would write them: networks under autocast with weights kept
in float32, Adam in one fused operation, losses compiled where that is asked
for, no gradient taken that is not needed. What kcolor computes only to log it
is left out, in PyTorch's favour, but for the loss.

Lightness is (N, 1, H, W), 0 to 100, ab is (N, 2, H, W), in ab units.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch_networks import build

SCALE = 16.0  # of a regression's outputs, in ab units
AB_SCALE = 50.0  # of ab as discriminators see it
LARGEST_AB = 110.0
GAN_WEIGHT = 1.1  # of the conditional GAN
CYCLE_WEIGHT, IDENTITY_WEIGHT = 10.0, 0.5
POOL = 50
CHANNELS = {"l1": 2, "l2": 2, "ce": 313, "rgb": 3}


class Training:
    """What every scheme shares: networks, optimizers, a precision.

    Args:
        arch: The colorizer's architecture.
        loss: l1, l2, ce or rgb.
        tables: Arrays that the loss needs: ce's, as `peers.py` saves them.
        precision: float32 or bfloat16, of the networks.
        layout: contiguous or channels_last.
        mode: eager, or that of torch.compile.
        norm: As `build` takes it.
        pool: How many photos CycleGAN remembers.
    """

    learning_rate, beta_1 = 1e-3, 0.9

    def __init__(
        self,
        arch: str,
        loss: str,
        tables: dict[str, np.ndarray],
        precision: str,
        layout: str,
        mode: str,
        norm: str,
        pool: int = POOL,
    ):
        self.precision, self.norm, self.mode = precision, norm, mode
        formats = {
            "contiguous": torch.contiguous_format,
            "channels_last": torch.channels_last,
        }
        self.memory_format = formats[layout]
        self.pool_size = pool
        self.loss = loss
        self.tables = {
            name: torch.from_numpy(array) for name, array in tables.items()
        }
        self.networks = {"network": self.network(arch, 1, CHANNELS[loss])}
        self.build()

    def network(self, arch: str, planes: int, channels: int) -> nn.Module:
        """Returns a network in the layout of this training."""
        network = build(arch, planes, channels, self.norm)
        return network.to(memory_format=self.memory_format)

    def tensors(self, arrays: Iterable[np.ndarray]) -> tuple[torch.Tensor, ...]:
        """Returns a batch, (N, H, W, any) each, as `step` takes it."""
        return tuple(
            torch.from_numpy(array)
            .permute(0, 3, 1, 2)
            .contiguous(memory_format=self.memory_format)
            for array in arrays
        )

    def compiled(self, function):
        """Returns a function as this training's mode would have it.

        Its networks compute in the precision of this training.
        """

        def precise(*args):
            enabled = self.precision == "bfloat16"
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                return function(*args)

        if self.mode == "eager":
            return precise
        return torch.compile(precise, mode=self.mode)

    def adam(self, *networks: nn.Module) -> torch.optim.Optimizer:
        """Returns the optimizer of networks."""
        return torch.optim.Adam(
            [weight for part in networks for weight in part.parameters()],
            lr=self.learning_rate,
            betas=(self.beta_1, 0.999),
            eps=1e-7,
            fused=True,
        )

    def build(self):
        """Makes optimizers, and functions for the parts of a step."""
        raise NotImplementedError

    def step(self, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Takes a step; returns its losses, of which `loss` is the first."""
        raise NotImplementedError

    def loss_of(self, outputs, ab):
        """Returns the objective's loss of the colorizer's outputs."""
        outputs = outputs.float()
        factor = ab.shape[-1] // outputs.shape[-1]
        ab = shrink(ab, factor)
        if self.loss == "ce":
            return cross_entropy(outputs, ab, **self.tables)
        if self.loss == "l1":
            return functional.l1_loss(SCALE * outputs, ab)
        return functional.mse_loss(SCALE * outputs, ab)


class Supervised(Training):
    """The loss alone, on batches of (L, ab)."""

    def build(self):
        self.optimizer = self.adam(*self.networks.values())
        self.losses = self.compiled(self._losses)

    def step(self, *batch):
        loss = self.losses(*batch)
        descend(self.optimizer, loss)
        return {"loss": loss}

    def _losses(self, lightness, ab):
        outputs = self.networks["network"](lightness / 50.0 - 1.0)
        return self.loss_of(outputs, ab)


class Adversarial(Training):
    """What the schemes with discriminators share."""

    learning_rate, beta_1 = 2e-4, 0.5
    is_vanilla = False  # or of least squares

    def teach(self, *lessons):
        """Lets discriminators take a step; returns their mean loss.

        Args:
            *lessons: Of each: its name, real photos and a generator's.
        """
        names = [name for name, _, _ in lessons]
        self.freeze(names, False)
        losses = [
            self.judge(name, real.detach(), fake.detach())
            for name, real, fake in lessons
        ]
        descend(self.discriminator_optimizer, sum(losses))
        # For the generators' sake the discriminators' own gradients need not be
        # known.
        self.freeze(names, True)
        return sum(loss.detach() for loss in losses) / len(losses)

    def freeze(self, names, frozen: bool):
        """Says whether networks' gradients are known."""
        for name in names:
            self.networks[name].requires_grad_(not frozen)

    def _judge(self, name: str, real, fake):
        """Returns the loss of a discriminator."""
        logits = self.networks[name](torch.cat([real, fake])).float()
        of_real, of_fake = logits.chunk(2)
        return (self.distance(of_real, 1.0) + self.distance(of_fake, 0.0)) / 2

    def distance(self, logits, target: float):
        """Returns how far logits are from 1, real, or 0, a generator's."""
        targets = torch.full_like(logits, target)
        if self.is_vanilla:
            return functional.binary_cross_entropy_with_logits(logits, targets)
        return functional.mse_loss(logits, targets)

    def coarse(self, ab):
        """Returns true ab as coarse as the colorizer's."""
        return enlarge(shrink(ab, self.stride), self.stride)


class CGAN(Adversarial):
    """The loss and a discriminator of (L, ab)."""

    stride = 2
    is_vanilla = True

    def build(self):
        self.networks["discriminator"] = self.network("patch", 3, 1)
        self.optimizer = self.adam(self.networks["network"])
        self.discriminator_optimizer = self.adam(self.networks["discriminator"])
        self.colour = self.compiled(self._colour)
        self.judge = self.compiled(self._judge)
        self.convince = self.compiled(self._convince)

    def step(self, lightness, ab):
        loss, real, fake = self.colour(lightness, ab)
        discriminator_loss = self.teach(("discriminator", real, fake))
        generator_loss = self.convince(fake)
        total = loss + GAN_WEIGHT * generator_loss
        descend(self.optimizer, total)
        return {
            "loss": loss,
            "generator_loss": generator_loss,
            "discriminator_loss": discriminator_loss,
        }

    def _colour(self, lightness, ab):
        outputs = self.networks["network"](lightness / 50.0 - 1.0)
        predicted = enlarge(SCALE * outputs.float(), self.stride)
        real, fake = (
            seen(lightness, self.coarse(ab)),
            seen(lightness, predicted),
        )
        return self.loss_of(outputs, ab), real, fake

    def _convince(self, fake):
        logits = self.networks["discriminator"](fake).float()
        return self.distance(logits, 1.0)


class CycleGAN(Adversarial):
    """The paper's two generators and two discriminators.

    On unpaired batches, (L, L of others, their ab).
    """

    def build(self):
        networks = self.networks
        networks["greying"] = self.network("resnet", 3, 1)
        networks["discriminator"] = self.network("patch", 3, 1)
        networks["grey_discriminator"] = self.network("patch", 1, 1)
        self.optimizer = self.adam(networks["network"], networks["greying"])
        self.discriminator_optimizer = self.adam(
            networks["discriminator"], networks["grey_discriminator"]
        )
        self.pool, self.grey_pool = Pool(self.pool_size), Pool(self.pool_size)
        self.cycle = self.compiled(self._cycle)
        self.judge = self.compiled(self._judge)
        self.convince = self.compiled(self._convince)

    def step(self, grey, lightness, ab):
        grey, photo, coloured, greyed, cycle_loss, identity_loss = self.cycle(
            grey, lightness, ab
        )
        discriminator_loss = self.teach(
            ("discriminator", photo, self.pool(coloured.detach())),
            ("grey_discriminator", grey, self.grey_pool(greyed.detach())),
        )
        generator_loss = self.convince(coloured, greyed)
        undone = cycle_loss + IDENTITY_WEIGHT * identity_loss
        loss = generator_loss + CYCLE_WEIGHT * undone
        descend(self.optimizer, loss)
        return {
            "loss": loss,
            "generator_loss": generator_loss,
            "cycle_loss": cycle_loss,
            "identity_loss": identity_loss,
            "discriminator_loss": discriminator_loss,
        }

    def _cycle(self, grey, lightness, ab):
        grey = grey / 50.0 - 1.0
        photo = shown(lightness, ab)
        coloured, greyed = self._colour(grey), self._grey(photo)
        l1 = functional.l1_loss
        cycle_loss = l1(self._grey(coloured), grey)
        cycle_loss = cycle_loss + l1(self._colour(greyed), photo)
        identity_loss = l1(self._grey(grey.expand(-1, 3, -1, -1)), grey)
        return grey, photo, coloured, greyed, cycle_loss, identity_loss

    def _convince(self, coloured, greyed):
        of_coloured = self.networks["discriminator"](coloured).float()
        of_greyed = self.networks["grey_discriminator"](greyed).float()
        return self.distance(of_coloured, 1.0) + self.distance(of_greyed, 1.0)

    def _colour(self, grey):
        return torch.tanh(self.networks["network"](grey).float())

    def _grey(self, photo):
        return torch.tanh(self.networks["greying"](photo).float())


class ExactCycleGAN(CGAN):
    """CycleGAN where the screen itself greys, on the same unpaired batches."""

    is_vanilla = False

    def build(self):
        super().build()
        self.pool = Pool(self.pool_size)

    def step(self, grey, lightness, ab):
        real, fake, cycle_loss = self.colour(grey, lightness, ab)
        discriminator_loss = self.teach(
            ("discriminator", real, self.pool(fake.detach()))
        )
        generator_loss = self.convince(fake)
        loss = generator_loss + CYCLE_WEIGHT * cycle_loss
        descend(self.optimizer, loss)
        return {
            "loss": loss,
            "generator_loss": generator_loss,
            "cycle_loss": cycle_loss,
            "discriminator_loss": discriminator_loss,
        }

    def _colour(self, grey, lightness, ab):
        outputs = self.networks["network"](grey / 50.0 - 1.0)
        predicted = enlarge(SCALE * outputs.float(), self.stride)
        greyed = lightness_of((shown(grey, predicted) + 1.0) / 2.0)
        cycle_loss = functional.l1_loss(greyed / 50.0, grey / 50.0)
        real = seen(lightness, self.coarse(ab))
        return real, seen(grey, predicted), cycle_loss


SCHEMES = {
    "supervised": Supervised,
    "cgan": CGAN,
    "cyclegan": CycleGAN,
    "exact": ExactCycleGAN,
}


class Pool:
    """Exchanges about half of the photos for some of earlier steps."""

    def __init__(self, size: int):
        self.size = size
        self.photos = None
        self.count = 0

    def __call__(self, photos):
        """Returns photos, (N, any, H, W), some of them exchanged."""
        if self.photos is None:
            self.photos = photos.new_zeros(self.size, *photos.shape[1:])
        number = len(photos)
        if self.count < self.size:
            room = min(number, self.size - self.count)
            self.photos[self.count : self.count + room] = photos[:room]
            self.count += room
            return photos
        swapped = torch.rand(number) < 0.5
        places = torch.randperm(self.size)[:number][swapped]
        exchanged = photos.clone()
        exchanged[swapped] = self.photos[places]
        self.photos[places] = photos[swapped]
        return exchanged


def descend(optimizer: torch.optim.Optimizer, loss) -> None:
    """Takes a step down the gradient of a loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def cross_entropy(logits, ab, indices, shares, shift, weights):
    """Returns Zhang's loss, (N, Q, h, w) logits against (N, 2, h, w) ab.

    Args:
        logits: Of the network.
        ab: On its grid.
        indices: int64 (65536, 5), the nearest bins of each cell of ab.
        shares: float32 (65536, 5), how much of a pixel is each one's.
        shift: float32 (Q,), the best constant logits.
        weights: float32 (Q,), of pixels by their nearest bin.
    """
    logits = logits + shift[:, None, None]
    cell = (ab.round() + 128).clamp(0, 255).long()
    cell = 256 * cell[:, 0] + cell[:, 1]
    nearest = indices[cell].movedim(-1, 1)
    # Weights of 5 bins that sum to 1: no dense target is needed.
    chosen = (shares[cell].movedim(-1, 1) * logits.gather(1, nearest)).sum(1)
    entropies = logits.logsumexp(1) - chosen
    return (weights[nearest[:, 0]] * entropies).mean()


def shrink(ab, factor: int):
    """Returns the means of squares of pixels."""
    return functional.avg_pool2d(ab, factor) if factor > 1 else ab


def enlarge(ab, factor: int):
    """Returns ab of a network's grid at the size of the photos."""
    ab = functional.interpolate(ab, scale_factor=factor, mode="bilinear")
    return ab.clamp(-LARGEST_AB, LARGEST_AB)


def seen(lightness, ab):
    """Returns photos as discriminators see them."""
    return torch.cat([lightness / 50.0 - 1.0, ab / AB_SCALE], dim=1)


# === sRGB and Lab, as scikit-image has them ===

WHITE = torch.tensor([0.95047, 1.0, 1.08883])
XYZ_FROM_RGB = (
    torch.tensor(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    / WHITE[:, None]
)
RGB_FROM_XYZ = torch.linalg.inv(XYZ_FROM_RGB).tolist()
Y_FROM_RGB = XYZ_FROM_RGB[1].tolist()


def shown(lightness, ab):
    """Returns RGB, -1 to 1, of lightness and ab."""
    y = (lightness + 16.0) / 116.0
    a, b = ab[:, :1], ab[:, 1:]
    roots = y + a / 500.0, y, (y - b / 200.0).clamp(min=0.0)
    x, y, z = (
        torch.where(
            root > 0.2068966, root * root * root, (root - 16 / 116) / 7.787
        )
        for root in roots
    )
    light = torch.cat(
        [p * x + q * y + r * z for p, q, r in RGB_FROM_XYZ], dim=1
    )
    bright = light.clamp(min=0.0031308)
    rgb = torch.where(
        light > 0.0031308, 1.055 * bright ** (1 / 2.4) - 0.055, 12.92 * light
    )
    return 2.0 * rgb.clamp(0.0, 1.0) - 1.0


def lightness_of(rgb):
    """Returns lightness, 0 to 100, of RGB, 0 to 1."""
    bright = ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    light = torch.where(rgb > 0.04045, bright, rgb / 12.92)
    p, q, r = Y_FROM_RGB
    y = p * light[:, :1] + q * light[:, 1:2] + r * light[:, 2:]
    root = torch.where(
        y > 0.008856,
        y.clamp(min=0.008856) ** (1 / 3),
        7.787 * y + 16 / 116,
    )
    return 116.0 * root - 16.0
