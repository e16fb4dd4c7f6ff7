"""The pictures of a segmented case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ldseg import viz
from ldseg.base.writing import remove
from ldseg.data.preprocess import Preprocessing
from ldseg.inference import Segmented
from ldseg.outputs import Outputs


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Draws the cases of a run.

    Attributes:
        outputs: where pictures go.
        preprocessing: of the cases: their axes and classes.
        colours: of the classes, background first; nothing for those of `CLASS_COLOURS`.
    """

    outputs: Outputs
    preprocessing: Preprocessing
    colours: Sequence[str] = ()

    def _view(self, item: Segmented, mask: np.ndarray) -> viz.CaseView:
        loaded = item.loaded
        assert loaded is not None
        true = loaded.outlined
        if len(self.preprocessing.axes) > 2 and loaded.label is not None:
            true = np.maximum(loaded.label, 0)  # nothing where the label says nothing
        return viz.CaseView(
            image=loaded.image,
            mask=mask,
            true=true,
            spacing=loaded.spacing,
            colours=self.colours or viz.CLASS_COLOURS,
            names=self.preprocessing.classes,
            title=item.case.name,
        )

    def draw_overlay(self, item: Segmented, mask: np.ndarray) -> None:
        """The image with its mask over it, and with the outline of the label where there is one.

        A picture as it is, three planes of a volume, frames of a video with the areas over time; volumes and videos also
        as GIF, slice by slice or in time.

        Raises:
            DataError: a file cannot be written.
        """
        view, axes, name = self._view(item, mask), self.preprocessing.axes, item.case.name
        path = self.outputs.overlay(name)
        if axes == "YX":
            picture = viz.overlay(view.image, mask, true=view.true, colours=view.colours)
            names = self.preprocessing.classes
            if len(names) > 2:
                picture = viz.legend(
                    picture, names, view.colours, true_colour=None if view.true is None else viz.TRUE_COLOUR
                )
            viz.save_image(picture, path)
            return
        draw, animate = (viz.volume_picture, viz.slices_gif) if axes == "ZYX" else (viz.video_picture, viz.video_gif)
        viz.save_image(draw(view), path)
        animate(self.outputs.overlay(name, ".gif"), view)

    def remove_overlay(self, name: str) -> None:
        """Remove what `draw_overlay` wrote of a case in an earlier run: it does not show the mask of this one."""
        for suffix in (".png", ".gif"):
            remove(self.outputs.overlay(name, suffix))

    def draw_uncertainty(self, item: Segmented, mask: np.ndarray) -> None:
        """Image, predictive entropy and variance between the members, side by side.

        Raises:
            DataError: the file cannot be written.
        """
        assert item.loaded is not None
        assert item.variance is not None
        view = replace(self._view(item, mask), true=item.loaded.outlined)
        picture = viz.uncertainty_picture(view, item.entropy, item.variance, axes=self.preprocessing.axes)
        viz.save_image(picture, self.outputs.uncertainty(item.case.name))

    def draw_diffusion(self, name: str, trace: viz.Trace) -> None:
        """The reverse diffusion of a case, as a picture and as a GIF: latent and decoded mask, step by step.

        Raises:
            DataError: a file cannot be written.
        """
        viz.save_image(viz.reverse_diffusion_picture(trace), self.outputs.diffusion(name))
        viz.reverse_diffusion_gif(self.outputs.diffusion(name, ".gif"), trace)

    def remove_diffusion(self, name: str) -> None:
        """Remove what `draw_diffusion` wrote of a case in an earlier run: it does not belong to the mask of this one."""
        for suffix in (".png", ".gif"):
            remove(self.outputs.diffusion(name, suffix))
