"""`hibari evaluate`: what a model's clips show, how its VAE rebuilds, how good judges and the safety screen are.

One measure a file, with the options that are its own.
"""

from hibari.cli.evaluate import frames, judges, people, physics, prompts, safety, scaling, shortcuts, vae
from hibari.cli.options import new_app

app = new_app()
app.info.help = "Measure a model: prompt following, physics, people, reconstruction; the safety screen; the judges."
for measure in (prompts, physics, people, vae, judges, safety, frames, shortcuts, scaling):
    app.add_typer(measure.app)
