"""What JupyterLab does when it is started in this folder, as by `make notebooks`."""

c = get_config()  # noqa: F821  (Jupyter provides it)

c.LabApp.default_url = "/lab/tree/00_contents.ipynb"
# No question on the first page, and no traffic that leaves this machine.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
