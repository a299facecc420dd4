"""What `make lab` tells JupyterLab: ask nobody outside for anything, and open without a question.

JUPYTER_CONFIG_PATH leads here; whoever starts JupyterLab otherwise keeps their own settings.
"""

from pathlib import Path

c = get_config()  # noqa: F821 - Jupyter's loader defines it

c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
# The other manager lists packages of an index on the internet.
c.LabApp.extension_manager = "readonly"
# In a container people are root; the server listens on the loopback alone, behind a token.
c.ServerApp.allow_root = True
c.ServerApp.ip = "127.0.0.1"
# The whole project, so that links to READMEs and reports open.
c.ServerApp.root_dir = str(Path(__file__).parents[2])
