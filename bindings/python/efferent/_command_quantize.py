"""The commands record and quantize."""
import json
from pathlib import Path

import typer
from rich.table import Table

from . import Error, Policy
from ._command import Action, Dims, File, Force, app, bound_dims, console, fail, not_there
from .quantize import KEY, Quantizer, Recording, record as rollout, with_metadata


@app.command()
def record(file: Path = File,
           env: str = typer.Option("", help="gymnasium environment; left out: the one that the file's metadata names"),
           steps: int = typer.Option(2000, min=1), seed: int = 0,
           output: Path = typer.Option(..., "--output", "-o", help="the .npz to write"), dim: list[str] = Dims,
           action: str = Action, force: bool = Force):
    """Record the observations that a policy sees in its environment, for quantize."""
    not_there(output, force)
    try:
        import gymnasium
    except ImportError:
        fail("gymnasium is not installed: pip install 'efferent[plant]'")
    try:
        policy = Policy(file, dims=bound_dims(dim), action=action)
        env = env or policy.metadata.get("env", "")
        if not env:
            fail(f"{file}: metadata has no 'env'; name the environment with --env")
        with gymnasium.make(env) as world:
            recording = rollout(policy, world, steps, seed)
    except (Error, gymnasium.error.Error) as e:
        fail(e)
    recording.save(output)
    console.print(f"{output}: {steps} steps, {int(recording.starts.sum())} episodes of {env}", markup=False)


@app.command()
def quantize(file: Path = File,
             observations: Path = typer.Option(..., exists=True, dir_okay=False,
                                               help="an .npz with an array [steps, ...] per input"),
             max_action_error: float = typer.Option(5e-3, min=0,
                                                    help="largest |action - f32 action| allowed over the observations"),
             output: Path = typer.Option(None, "--output", "-o", help="write the file with the choice in its metadata"),
             as_json: bool = typer.Option(False, "--json", help="print JSON"),
             dim: list[str] = Dims, action: str = Action, force: bool = Force):
    """Choose the storage of each layer, i8 to f32, and report the action error measured over recorded observations."""
    not_there(output, force)
    dims = bound_dims(dim)
    try:
        exact = Policy(file, dims=dims, weights="f32", action=action)
        recording = Recording.load(observations, exact)
        quantizer = Quantizer(lambda **storage: Policy(file, dims=dims, action=action, **storage), recording)
        choice = quantizer.choose(max_action_error)
        if output:
            output.write_bytes(with_metadata(file.read_bytes(), KEY, ",".join(choice.weights)))
            found = [layer.weights for layer in Policy(output, dims=dims).layers]
            if found != choice.weights:
                fail(f"{output} loads with the storage {','.join(found)}, expected {','.join(choice.weights)}")
    except (Error, OSError) as e:
        fail(e)
    uniform = {w: quantizer.measure([w if layer.bytes else "f32" for layer in quantizer.layers]).error
               for w in ("i8", "bf16", "f16")}
    if as_json:
        print(json.dumps({"weights": choice.weights, "error": choice.error, "bytes": choice.bytes,
                          "bytes_f32": quantizer.exact_bytes, "errors_of_one_storage": uniform}))
        return
    table = Table("layer", "", "weights", "parameters", "bytes", box=None, pad_edge=False, header_style="bold")
    for i, layer in enumerate(choice.layers):
        table.add_row(str(i), layer.op, layer.weights, f"{layer.parameters:,}", f"{layer.bytes:,}")
    console.print(table)
    console.print(f"largest action error {choice.error:.3g} over {len(recording.starts)} steps, bound "
                  f"{max_action_error:g}; "
                  f"all layers alike: {', '.join(f'{k} {v:.3g}' for k, v in uniform.items())}")
    console.print(f"{choice.bytes:,} bytes of weights, {quantizer.exact_bytes:,} in f32"
                  + (f"; written to {output}" if output else ""), markup=False)
