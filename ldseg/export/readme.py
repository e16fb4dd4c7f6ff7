"""The README of an exported folder: what is in it, and ten lines that segment."""

from __future__ import annotations

from ldseg.description import Description

_OPEN = {
    "onnx": """\
import numpy as np, onnxruntime
onnxruntime.set_default_logger_severity(3)  # else it warns of constants that no layer uses
nets = {{n: onnxruntime.InferenceSession(f"{{n}}.onnx") for n in ("encoder", "denoiser", "decoder")}}
run = lambda name, **given: nets[name].run(None, {{i.name: given[i.name] for i in nets[name].get_inputs()}})""",
    "openvino": """\
import numpy as np, openvino
exact = {{"INFERENCE_PRECISION_HINT": "f32"}}  # else bfloat16 where the processor has it
nets = {{n: openvino.compile_model(f"{{n}}.xml", "CPU", exact) for n in ("encoder", "denoiser", "decoder")}}
run = lambda name, **given: list(nets[name]({{i.any_name: given[i.any_name] for i in nets[name].inputs}}).values())""",
    "saved_model": """\
import numpy as np, tensorflow as tf
nets = {{n: tf.saved_model.load(n) for n in ("encoder", "denoiser", "decoder")}}
run = lambda name, **given: [np.asarray(x) for x in tf.nest.flatten(nets[name].serve(*given.values()))]""",
}

_BODY = """\
left, image, x = (np.load(f"{{name}}.npy") for name in ("schedule", "image", "noise"))
condition = {{f"condition{{i}}": found for i, found in enumerate(run("encoder", image=image))}}
grid = np.round(np.linspace(len(left) - 1, 0, {steps} + 1)).astype(int)
for t, a, b, after in zip(grid[:-1], left[grid] ** 0.5, (1 - left[grid]) ** 0.5, left[grid[1:]]):
    y = run("denoiser", state=np.float32(x), **condition, time=np.full(len(x), t, np.int32))[0]
    {convert}{hold}
    x = after**0.5 * x0 + (1 - after) ** 0.5 * eps
mask = {parts}.argmax(-1)"""

_PARTS = {
    False: 'run("decoder", latent=np.float32(x))[0]',
    True: 'np.add.reduceat(run("decoder", latent=np.float32(x))[0], (0, 1), axis=-1)',  # inside and outline are the object
}

_CONVERT = {
    "x0": "x0, eps = y, (x - a * y) / b",
    "v": "x0, eps = a * x - b * y, b * x + a * y",
    "eps": "x0, eps = (x - b * y) / a, y",
    "ldseg": "x0, eps = (x - b * y) / a, y",
}

_HOLD = {
    None: "",
    "bound": "; x0 = x0.clip(-1, 1)",
    "standardize": "; axes = {axes}; x0 = (x0 - x0.mean(axes, keepdims=True)) / np.sqrt(x0.var(axes, keepdims=True) + 1e-6)",
}


def lines(description: Description, to: str, steps: int = 15) -> str:
    """Python that segments with NumPy and the runtime alone, by DDIM.

    It reads ``image.npy`` and ``noise.npy`` and leaves ``mask``.
    """
    spec = description.spec
    hold = _HOLD[spec.hold].format(axes=tuple(range(1, len(spec.size) + 2)))
    steps = 1 if spec.control else steps
    body = _BODY.format(steps=steps, convert=_CONVERT[spec.prediction], hold=hold, parts=_PARTS[spec.outline])
    return f"{_OPEN[to].format()}\n{body}\n"


def readme(description: Description, to: str) -> str:
    """The text of the README."""
    spec, step = description.spec, description.preprocessing
    image, noise = (", ".join(map(str, shape)) for shape in ((*spec.size, spec.channels), spec.latent_shape))
    classes = ", ".join(f"{index} {name}" for index, name in enumerate(step.classes))
    outline = f" The decoder gives {spec.parts} probabilities: background, inside and outline of an object." * spec.outline
    return f"""# Networks exported by LDSeg ({to})

{spec.architecture}, preset {spec.preset}. Classes: {classes}.{outline}

- `encoder`: the image to the condition, of which the denoiser takes what it names. `denoiser`: one step. `decoder`: the
  clean latent to probabilities. The loop is yours, so that any number of steps and any batch will do.
- `segmenter.json`: what the weights are, how images are prepared (`preprocessing`), and how they were trained.
- `schedule.npy`: the share of signal left at each time, from 1 (clean) on.

These lines segment, with NumPy and the runtime alone. `image.npy` is float32 `(batch, {image})` in [0, 1], prepared
as `segmenter.json` says; `noise.npy` is standard normal, float32 `(batch, {noise})`, such as
`np.random.default_rng(0).standard_normal` gives.

```python
{lines(description, to)}```
"""
